"""A space small enough to enumerate that behaves like MSNAS's: strides, heads that need them, a budget."""

import hashlib
import itertools
from collections.abc import Sequence
from functools import cache

import numpy as np

from evolution.strategy import Evaluation, Genome
from evolution.table_space import TableSpace

BLOCKS, HEADS, LEVELS = 7, 3, 4
STEPS = (-1, 0, 1)  # gene 0, 1, 2: up, keep, down
BUDGET = (700, 900)


class ToySpace(TableSpace):
    """Blocks move between levels 0-3; ordered heads read levels that exist; the cost is inside BUDGET."""

    cardinalities = (3,) * BLOCKS + (LEVELS,) * HEADS

    def __init__(self, low: int = BUDGET[0], high: int = BUDGET[1]) -> None:
        sections = {"encoder": slice(0, BLOCKS), "heads": slice(BLOCKS, BLOCKS + HEADS)}
        super().__init__(_genomes(low, high), cardinalities=self.cardinalities, sections=sections)


class PlainSpace(ToySpace):
    """The same without `neighbour`."""

    neighbour = None


@cache
def _genomes(low: int, high: int) -> np.ndarray:
    found = [
        (*encoder, *heads)
        for encoder in itertools.product(range(3), repeat=BLOCKS)
        if (levels := _levels(encoder)) is not None and low <= toy_cost(encoder) <= high
        for heads in itertools.combinations_with_replacement(sorted(set(levels)), HEADS)
    ]
    return np.array(found)


def _levels(encoder: Sequence[int]) -> list[int] | None:
    """The level after every block; None if it leaves 0-3."""
    levels = list(itertools.accumulate(STEPS[gene] for gene in encoder))
    return levels if min(levels) >= 0 and max(levels) < LEVELS else None


def toy_cost(encoder: Sequence[int]) -> int:
    levels = _levels(encoder)
    assert levels is not None
    return sum(256 >> level for level in levels)


def toy_score(genome: Genome) -> float:
    """A landscape with slopes and a little ruggedness, largest near one hidden genome."""
    best = (1, 2, 1, 1, 0, 2, 2, 0, 1, 2)
    weights = (0.9, 0.5, 0.7, 0.4, 0.6, 0.3, 0.5, 0.4, 0.5, 0.6)
    slope = sum(w * abs(a - b) for w, a, b in zip(weights, genome, best, strict=True))
    return 0.5 - 0.05 * slope + 0.02 * _noise("rugged", *genome[:BLOCKS])


def toy_evaluation(genome: Genome, replicate: int = 0, rung: int = 0) -> Evaluation:
    """Instant, and the same whenever and wherever it is asked for; replicates differ a little."""
    score = toy_score(genome) + 0.004 * _noise("batches", replicate, *genome)
    cost = {"macs": toy_cost(genome[:BLOCKS])} if len(genome) == BLOCKS + HEADS else {"macs": sum(genome)}
    return Evaluation(genome=genome, score=(score,), replicate=replicate, rung=rung, cost=cost, seconds=0.001)


def _noise(*keys: object) -> float:
    """Uniform in [-1, 1), a function of `keys`."""
    digest = hashlib.sha256(repr(keys).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**47 - 1
