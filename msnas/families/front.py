"""The answer of a search with several objectives: everything that nothing else beats in all of them."""

import math
from collections.abc import Sequence

import numpy as np

from evolution.driver import Finalist
from evolution.strategy import Record, Strategy
from msnas.config.blueprint import Blueprint
from msnas.errors import ConfigError
from supernet.space import SearchSpace


def check_objectives(strategy: Blueprint, space: SearchSpace) -> None:
    """Raise ConfigError where `strategy.minimise` names something that candidates have no number for."""
    known = space.cost(space.sample(np.random.default_rng(0))).by_name()
    for name in strategy.options.get("minimise", ()):
        if name not in known:
            raise ConfigError(f"strategy.minimise is a list of {', '.join(known)}, but got {name!r}.")


def front_of(strategy: Strategy, space: SearchSpace, finalists: tuple[Finalist, ...]) -> list[Record] | None:
    """The front, highest score first, as plain values; None for a strategy with one objective.

    score: as the search saw it; score_again: the mean over other draws of batches, None where it was not scored again.
    """
    if not hasattr(strategy, "front"):
        return None
    again = {finalist.genome: finalist.mean for finalist in finalists if finalist.again}
    return [
        {
            "architecture": str(space.decode(evaluation.genome)),
            "genome": list(evaluation.genome),
            "score": evaluation.score[0],
            "score_again": again.get(evaluation.genome),
            **evaluation.cost,
        }
        for evaluation in strategy.front()
    ]


def lines_of(front: list[Record]) -> list[str]:
    """One line an architecture, as the search prints it."""
    return [
        f"front  {row['architecture']}  score {row['score']:.4f}  "
        + "  ".join(f"{name} {row[name]:,}" for name in ("macs", "params", "latency_ms") if name in row)
        for row in front
    ]


def pareto_front(points: Sequence[tuple[float, float]]) -> set[int]:
    """Indices of the (cost, score) whose score nothing reaches at the same cost or less."""
    front: set[int] = set()
    best = -math.inf
    for index, (_, score) in sorted(enumerate(points), key=lambda item: (item[1][0], -item[1][1])):
        if score > best:
            front.add(index)
            best = score
    return front
