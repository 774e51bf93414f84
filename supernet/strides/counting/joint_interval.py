"""Architectures of an interval that keep further budgets too: one metric is counted exactly, the rest is checked.

Few architectures are listed, checked and drawn from: exact in every way. Of many, draws from the interval are checked:
still exactly uniform, but each takes a few tries, and the count is an estimate.
"""

from collections.abc import Callable
from functools import cached_property

import numpy as np

from supernet.errors import BudgetError, SpaceError
from supernet.space import Budget
from supernet.strides.counting.cost_interval import CostInterval, Genome
from supernet.strides.counting.path_neighbours import Listed, Pool
from supernet.strides.counting.path_rules import Bools, Ints

LISTED = 300_000  # architectures of an interval that are listed (a second)
PROBES = 20_000  # draws that estimate which part of a larger interval keeps the rest
TRIES = 100_000  # draws after which the rest counts as impossible
CHILD_TRIES = 200  # the same for a child

Costs = Callable[[Ints], dict[str, Ints]]
"""Costs [n] of genomes [n, N + 5] by metric."""


class JointInterval:
    """The architectures of `interval` that also keep `rest`. Raises SpaceError where none is found.

    total: how many; exact if `exact`, else estimated from PROBES draws.
    """

    def __init__(self, interval: CostInterval, rest: tuple[Budget, ...], costs: Costs) -> None:
        self.interval, self.rest, self._costs = interval, rest, costs
        self.exact = interval.total <= LISTED
        seen = listed_genomes(interval) if self.exact else self._probes
        keeps = self.keeps(seen)
        if not keeps.any():
            raise BudgetError(self._nothing(seen))
        self._members = seen[keeps] if self.exact else None
        self.total = int(keeps.sum()) if self.exact else round(interval.total * keeps.mean())

    @property
    def counted(self) -> str:
        """How `total` came about, in words."""
        return "exactly" if self.exact else f"estimated from {PROBES:,} draws inside the first budget"

    def keeps(self, genomes: Ints) -> Bools:
        """Which of `genomes` [n, N + 5] keep the rest."""
        costs = self._costs(genomes)
        inside = np.ones(len(genomes), np.bool_)
        for budget in self.rest:
            inside &= (budget.low <= costs[budget.metric]) & (costs[budget.metric] <= budget.high)
        return inside

    def draw(self, rng: np.random.Generator) -> Genome:
        """One architecture, each with the same probability. Raises SpaceError after TRIES in vain."""
        if self._members is not None:
            return tuple(self._members[int(rng.integers(len(self._members)))].tolist())
        return self.until_kept(lambda: self.interval.draw(rng))

    def until_kept(self, draw: Callable[[], Genome]) -> Genome:
        """The first of at most TRIES draws that keeps the rest. Raises SpaceError where none does."""
        genome = first_kept(draw, self.keeps, TRIES)
        if genome is None:
            rest = " and ".join(map(str, self.rest))
            raise SpaceError(f"None of {TRIES:,} draws inside the first budget had {rest}; widen one of the budgets.")
        return genome

    def children(self, pool: Pool) -> Pool:
        """The children of `pool` that keep the rest."""
        return pool.only(self.keeps) if isinstance(pool, Listed) else Checked(pool, self.keeps)

    @cached_property
    def _probes(self) -> Ints:
        rng = np.random.default_rng(0)
        return np.array([self.interval.draw(rng) for _ in range(PROBES)])

    def _nothing(self, seen: Ints) -> str:
        costs = self._costs(seen)
        ranges = (f"{b.metric} in {costs[b.metric].min():,}..{costs[b.metric].max():,}" for b in self.rest)
        interval, rest = self.interval, " and ".join(map(str, self.rest))
        which = f"{'All ' if self.exact else ''}{len(seen):,} {'architectures' if self.exact else 'draws'} with "
        which += f"{interval.metric} in {interval.low:,}..{interval.high:,}"
        return f"No architecture was found that has {rest}. {which} have {', '.join(ranges)}."


class Checked:
    """The children of a pool that `keeps` lets through, by at most CHILD_TRIES draws; `total` counts the others too."""

    def __init__(self, pool: Pool, keeps: Callable[[Ints], Bools]) -> None:
        self._pool, self._keeps, self.total = pool, keeps, pool.total

    def draw(self, rng: np.random.Generator) -> Genome | None:
        """One of them, each with the same probability; None where the tries found none."""

        def child() -> Genome:
            drawn = self._pool.draw(rng)
            assert drawn is not None, "an interval that is not empty has a child"
            return drawn

        return first_kept(child, self._keeps, CHILD_TRIES)


def first_kept(draw: Callable[[], Genome], keeps: Callable[[Ints], Bools], tries: int) -> Genome | None:
    """The first genome drawn that is kept, None after so many tries. Checked in growing batches, for speed."""
    batch = 1
    while tries > 0:
        batch = min(batch * 2, tries, 256)
        genomes = [draw() for _ in range(batch)]
        kept = np.flatnonzero(keeps(np.array(genomes)))
        if len(kept):
            return genomes[int(kept[0])]
        tries -= batch
    return None


def listed_genomes(interval: CostInterval) -> Ints:
    """Every architecture [n, N + 5] of an interval of at most LISTED."""
    parts = [np.empty((0, interval.table.depth + interval.heads.genes.shape[1]), np.int64)]
    for code in interval.codes.tolist():
        paths = interval.paths(code, LISTED)
        assert paths is not None, "a part is no larger than the whole"
        heads = np.broadcast_to(interval.heads.genes[code], (len(paths), interval.heads.genes.shape[1]))
        parts.append(np.hstack((paths, heads)))
    return np.concatenate(parts)
