"""Children of one parent (mutation) or two (crossover), drawn uniformly from those that an interval holds.

The choices of heads are listed, and so are the paths where the interval has few. Where it has many, "is a child" is
a small automaton over the genes that runs beside the rules: a few thousand children are listed, more of them
counted in a path table of their own.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np

from supernet.strides.counting.cost_interval import CostInterval, Genome
from supernet.strides.counting.path_rules import START, Bools, Genes, Ints, code_of
from supernet.strides.counting.path_table import Automaton, PathTable

WHOLE = 20_000  # paths of an interval with the same heads that are listed once and searched for each neighbourhood
LISTED = 4096  # partial paths that are listed for one neighbourhood; beyond, a table takes some milliseconds


class Pool(Protocol):
    """A neighbourhood."""

    @property
    def total(self) -> int:
        """How many children it has."""

    def draw(self, rng: np.random.Generator, /) -> Genome | None:
        """One of them, each with the same probability; there must be one (None: it was not found)."""


class Listed:
    """The children of `paths` [n, N] and `heads` [n or 1, 5], row by row."""

    def __init__(self, paths: Genes | Ints, heads: Ints) -> None:
        self._paths, self._heads = paths, heads
        self.total = max(len(paths), len(heads)) if len(paths) and len(heads) else 0

    def draw(self, rng: np.random.Generator) -> Genome:
        row = int(rng.integers(self.total))
        return (*self._paths[row % len(self._paths)].tolist(), *self._heads[row % len(self._heads)].tolist())

    def only(self, keeps: Callable[[Ints], Bools]) -> "Listed":
        """Those whose genomes [n, N + 5] are kept."""
        if not self.total:
            return self
        parts = (np.broadcast_to(part, (self.total, part.shape[1])) for part in (self._paths, self._heads))
        genomes = np.hstack(tuple(parts)).astype(np.int64)
        kept, depth = genomes[keeps(genomes)], self._paths.shape[1]
        return Listed(kept[:, :depth], kept[:, depth:])


class Neighbours:
    """The neighbourhoods of an interval's architectures."""

    def __init__(self, interval: CostInterval) -> None:
        self.interval = interval
        self._paths = lru_cache(128)(lambda code: interval.paths(code, WHOLE))

    def pool(self, parents: Sequence[Genome], section: str, radius: int) -> Pool:
        """The children that vary in `section`, the rest being the first parent's."""
        depth = self.interval.table.depth
        paths, tails = [p[:depth] for p in parents], [p[depth:] for p in parents]
        if section == "heads":
            return self._heads_pool(paths[0], tails, paths[-1] != paths[0], radius)
        return self._encoder_pool(paths, tails[0], tails[-1] != tails[0], radius)

    def _encoder_pool(self, paths: list[Genome], tail: Genome, second_too: bool, radius: int) -> Pool:
        """Children by path. second_too: whether the second parent's path is one: its heads are other ones."""
        heads, code = self.interval.heads, code_of(tail)
        if not heads.allowed[code]:
            return Listed(heads.genes[:0], heads.genes[:0])
        whole = self._paths(code)
        if whole is None:
            return self._counted_pool(paths, code, second_too, radius)
        return Listed(whole[are_children(whole, paths, radius, second_too)], heads.genes[code : code + 1])

    def _counted_pool(self, paths: list[Genome], code: int, second_too: bool, radius: int) -> Pool:
        """The same for the heads of `code` where the interval has many paths."""
        interval, heads = self.interval, self.interval.heads
        fixed = interval.table.rules.stem[interval.metric] + int(heads.cost[interval.metric][code])
        bounds, needs = (interval.low - fixed, interval.high - fixed), int(heads.needs[code])
        if len(paths) == 1:
            automaton = mutations(paths[0], radius)
        else:
            automaton = crossovers(paths[0], paths[1], radius, second_too=second_too)
        listed = wanted_paths(interval, automaton, bounds, needs)
        if listed is not None:
            return Listed(listed, heads.genes[code : code + 1])
        part = PathTable(interval.table.costs, automaton, bounds=bounds, needs=needs)
        return CostInterval(part, heads, interval.low, interval.high, np.array([code]))

    def _heads_pool(self, path: Genome, tails: list[Genome], second_too: bool, radius: int) -> Pool:
        """Children by heads. second_too: whether the second parent's heads are one: its path is another."""
        heads = self.interval.heads
        choices, free = heads.genes[self.interval.heads_for(path)], heads.free
        searched = [tuple(tail[head] for head in free) for tail in tails]
        return Listed(np.array([path]), choices[are_children(choices[:, free], searched, radius, second_too)])


def wanted_paths(interval: CostInterval, automaton: Automaton, bounds: tuple[int, int], needs: int) -> Genes | None:
    """All paths [n, N] that `automaton` wants and the rules and `bounds` allow; None where they are many.

    bounds: of the cost without stem and heads. needs: mask of the levels that the heads read.
    """
    rules, metric = interval.table.rules, interval.metric
    follow, step = rules.follow, rules.step[metric]
    state, tag, cost = np.array([START]), np.array([automaton.first]), np.zeros(1, np.int64)
    paths = np.empty((1, len(automaton.follow)), np.int8)
    for block, tag_after in enumerate(automaton.follow):  # [T, 3]
        moves = follow[state]  # [n, 3]
        tags = tag_after[tag]
        rows, genes = np.nonzero((moves != rules.dead) & (tags >= 0))
        if len(rows) > LISTED:
            return None
        cost = cost[rows] + step[state[rows], genes]
        state, tag, paths = moves[rows, genes], tags[rows, genes], paths[rows]
        paths[:, block] = genes
    cost += rules.finish[metric][state]
    wanted = automaton.accept[tag] & rules.serves(state, needs)
    wanted &= (bounds[0] <= cost) & (cost <= bounds[1])
    chosen: Genes = paths[wanted]
    return chosen


def mutations(parent: Sequence[int], radius: int) -> Automaton:
    """Paths that differ from `parent` in 1 to `radius` genes; the tag is how many differ so far."""
    tags = np.arange(radius + 1)
    differs = np.arange(3) != np.array(parent)[:, None]  # [N, 3]
    after = tags[:, None] + differs[:, None, :]  # [N, T, 3]
    return Automaton(np.where(after > radius, -1, after), tags > 0)


def crossovers(first: Sequence[int], second: Sequence[int], radius: int, *, second_too: bool) -> Automaton:
    """Paths with every gene from either parent but for at most `radius` free ones, and not `first` itself.

    second_too: whether the path of `second` is wanted. The tag is 4 * (free genes so far) + 2 * (all as in
    `first`) + (all as in `second`).
    """
    genes = np.arange(3)
    as_first, as_second = genes == np.array(first)[:, None], genes == np.array(second)[:, None]  # [N, 3]
    tags = np.arange(4 * (radius + 1))[:, None]
    free = tags // 4 + ~(as_first | as_second)[:, None, :]  # [N, T, 3]
    same_first = (tags // 2 % 2 == 1) & as_first[:, None, :]
    same_second = (tags % 2 == 1) & as_second[:, None, :]
    after = 4 * free + 2 * same_first + same_second
    accept = (tags // 2 % 2 == 0) & ((tags % 2 == 0) | second_too)
    return Automaton(np.where(free > radius, -1, after), accept[:, 0], first=3)


def are_children(rows: Genes | Ints, parents: Sequence[Genome], radius: int, second_too: bool) -> Bools:
    """Which of `rows` [n, genes] are mutations of one parent, or crossovers of two."""
    same = [rows == np.array(parent, rows.dtype) for parent in parents]
    free = rows.shape[1] - np.logical_or.reduce(same).sum(axis=1, dtype=np.int8)
    chosen: Bools = (free <= radius) & ~same[0].all(axis=1)
    return chosen if second_too else chosen & ~same[-1].all(axis=1)
