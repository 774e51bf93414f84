"""How many steps of its training each branch of a supernet was part of."""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from typing import Any

from msnas.families.family import Family


def branch_updates(family: Family, path_of_step: Callable[[int], Hashable], steps: int) -> dict[str, Any]:
    """`steps`, and `branches`: those of them that each was in; none where the paths have no branches of their own."""
    counts = Counter(branch for step in range(steps) for branch in family.branches(path_of_step(step)))
    return {"steps": steps, "branches": {branch: counts[branch] for branch in sorted(counts)}}


def updates_sentence(updates: Mapping[str, Any] | None) -> str:
    """The share of the steps that the rarest, the median and the most frequent branch got; "" where it is unknown."""
    branches = (updates or {}).get("branches")
    if not updates or not branches:
        return ""
    order = sorted(branches, key=lambda branch: branches[branch])
    rarest, middle, most = (branches[name] / updates["steps"] for name in (order[0], order[len(order) // 2], order[-1]))
    return (
        f"Of the supernet's {updates['steps']:,} steps a branch was part of {middle:.0%} in the median; the rarest, "
        f"{order[0]}, of {rarest:.0%}, the most frequent, {order[-1]}, of {most:.0%}."
    )
