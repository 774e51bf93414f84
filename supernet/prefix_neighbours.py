"""Children of one or two merging-cell genomes, drawn exactly uniformly from all that are near enough.

A dynamic program over the genes: how many valid genomes go on from here with so many genes that are not
inherited.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Protocol

import numpy as np

from supernet.space import Genome


class PrefixSpace(Protocol):
    """What the program needs of a space."""

    @property
    def sections(self) -> dict[str, slice]:
        """Named parts of the genome."""

    def allowed(self, prefix: Genome) -> tuple[int, ...]:
        """Choices of the next gene that can still lead to a valid genome."""

    def state(self, prefix: Genome) -> Hashable:
        """All that `allowed` depends on, here and further on: prefixes of one state go on alike."""


def draw_neighbour(
    space: PrefixSpace, parents: Sequence[Genome], section: str, radius: int, rng: np.random.Generator
) -> Genome | None:
    """A valid child of `parents`; outside of `section` it equals the first parent. None where there is none.

    One parent: 1 to `radius` genes of the section differ from it. Two: at most `radius` genes differ from
    both.
    """
    ways, choices = _counters(space, parents, section)
    changes = range(min(len(parents), 2) % 2, radius + 1)
    left = _draw([ways((), change) for change in changes], rng)
    if left is None:
        return None
    left += changes.start
    child: Genome = ()
    while len(child) < len(parents[0]):
        options = choices(child)
        picked = _draw([ways((*child, gene), left - new) for gene, new in options], rng)
        assert picked is not None, "a child was counted here"
        gene, new = options[picked]
        child, left = (*child, gene), left - new
    return child


def _counters(
    space: PrefixSpace, parents: Sequence[Genome], section: str
) -> tuple[Callable[[Genome, int], int], Callable[[Genome], list[tuple[int, int]]]]:
    """`ways(prefix, left)`: children with exactly `left` more new genes; `choices`: (gene, is new)."""
    varied = set(range(len(parents[0]))[space.sections[section]])
    counted: dict[Hashable, int] = {}

    def choices(prefix: Genome) -> list[tuple[int, int]]:
        place = len(prefix)
        inherited = {parent[place] for parent in parents} if place in varied else {parents[0][place]}
        found = [(gene, int(gene not in inherited)) for gene in space.allowed(prefix)]
        return found if place in varied else [(gene, new) for gene, new in found if not new]

    def ways(prefix: Genome, left: int) -> int:
        if left < 0:
            return 0
        if len(prefix) == len(parents[0]):
            return int(left == 0)
        key = (space.state(prefix), left)
        if key not in counted:
            counted[key] = sum(ways((*prefix, gene), left - new) for gene, new in choices(prefix))
        return counted[key]

    return ways, choices


def _draw(weights: Sequence[int], rng: np.random.Generator) -> int | None:
    """An index with a probability proportional to its weight; None where all are zero."""
    total = sum(weights)
    if total == 0:
        return None
    shares = np.array([weight / total for weight in weights])
    return int(rng.choice(len(weights), p=shares / shares.sum()))
