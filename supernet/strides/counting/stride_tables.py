"""A stride space's rules at the level of genomes: validity and exact cost of one or of millions, counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from supernet.strides.architecture import NUM_GROUPS, NUM_LEVELS
from supernet.strides.counting.cost_interval import CostInterval
from supernet.strides.counting.path_rules import (
    COUNT,
    Bools,
    HeadRules,
    Ints,
    PathRules,
    code_of,
    head_rules,
    path_rules,
)
from supernet.strides.counting.path_table import PathTable, UnitCosts, everything
from supernet.strides.first_stage_cost import PathStart
from supernet.strides.latency_parts import Parts

_CODE_WEIGHTS = NUM_LEVELS ** np.arange(NUM_GROUPS)[::-1]  # as in `code_of`
_PathSettings = tuple[PathStart, str, int, int, tuple[int, int], bool, Parts | None]
_CHUNK = 1 << 15  # genomes that `costs` takes at once, so that its arrays stay in the cache


@dataclass(frozen=True)
class StrideTables:
    """Settings of a stride space, known to be sound.

    tied: numbers of the heads that read what the one before reads. fixed_heads: levels, where there is one choice only.
    """

    start: PathStart
    block: str
    depth: int
    channels: int
    base_stride: int
    input_size: tuple[int, int]
    head_rules: bool
    live: bool
    tied: tuple[int, ...]
    fixed_heads: tuple[int, ...] | None
    latency: Parts | None = None

    @cached_property
    def rules(self) -> PathRules:
        """What paths may do, and what it costs."""
        return _path_rules(*self._path_settings)

    @property
    def _path_settings(self) -> _PathSettings:
        return self.start, self.block, self.channels, self.base_stride, self.input_size, self.live, self.latency

    @cached_property
    def heads(self) -> HeadRules:
        """What heads may be, and what they cost."""
        return head_rules(
            block=self.block,
            channels=self.channels,
            base_stride=self.base_stride,
            input_size=self.input_size,
            rules=self.head_rules,
            tied=self.tied,
            fixed=self.fixed_heads,
            latency=self.latency,
        )

    def interval(self, metric: str, low: int, high: int) -> CostInterval:
        """The architectures that cost low..high."""
        table = _path_table(self._path_settings, self.depth, metric)
        return CostInterval(table, self.heads, low, high)

    def is_genome(self, genome: Sequence[int]) -> bool:
        """Whether there are N genes in 0..2 and then five in 0..4."""
        return (
            len(genome) == self.depth + NUM_GROUPS
            and all(0 <= gene < 3 for gene in genome[: self.depth])
            and all(0 <= gene < NUM_LEVELS for gene in genome[self.depth :])
        )

    def keeps_rules(self, genome: Sequence[int]) -> bool:
        """Whether a genome is a valid architecture, whatever it costs."""
        state, _ = self.rules.read(genome[: self.depth], COUNT)
        code = code_of(genome[self.depth :])
        return bool(self.heads.allowed[code] and self.rules.serves(state, self.heads.needs[code]))

    def cost(self, genome: Sequence[int], metric: str) -> int:
        """What a valid genome costs."""
        state, cost = self.rules.read(genome[: self.depth], metric)
        owed, heads = self.rules.finish[metric][state], self.heads.cost[metric][code_of(genome[self.depth :])]
        return self.rules.stem[metric] + cost + int(owed) + int(heads)

    def costs(self, genomes: npt.ArrayLike) -> tuple[Ints, Ints]:
        """MACs [n] and parameters [n] of genomes [n, N + 5], -1 for those that break a rule."""
        costs = self.costs_by_metric(genomes)
        return costs["macs"], costs["params"]

    def costs_by_metric(self, genomes: npt.ArrayLike) -> dict[str, Ints]:
        """Costs [n] of genomes [n, N + 5] by metric, -1 for those that break a rule."""
        rows = np.asarray(genomes, np.int64).reshape(-1, self.depth + NUM_GROUPS)
        starts = range(0, max(1, len(rows)), _CHUNK)
        parts = [self._costs(rows[start : start + _CHUNK]) for start in starts]
        return {metric: np.concatenate([part[metric] for part in parts]) for metric in parts[0]}

    def _costs(self, rows: Ints) -> dict[str, Ints]:
        bounds = [3] * self.depth + [NUM_LEVELS] * NUM_GROUPS
        known: Bools = np.all((rows >= 0) & (rows < bounds), axis=1)
        rows = np.where(known[:, None], rows, 0)
        states, costs = self.rules.read_all(rows[:, : self.depth])
        codes = rows[:, self.depth :] @ _CODE_WEIGHTS
        valid = known & self.heads.allowed[codes] & self.rules.serves(states, self.heads.needs[codes])
        return {metric: np.where(valid, cost + self.heads.cost[metric][codes], -1) for metric, cost in costs.items()}

    def count_encoders(self, *, with_heads: bool) -> int:
        """Encoders with valid feature strides; with_heads: only those that serve a valid choice of heads."""
        return sum(
            paths for paths, choices in zip(self._paths, self._choices, strict=True) if choices or not with_heads
        )

    def count(self) -> int:
        """Valid architectures."""
        return sum(paths * choices for paths, choices in zip(self._paths, self._choices, strict=True))

    @cached_property
    def _paths(self) -> list[int]:
        return self.rules.count_paths(self.depth)

    @cached_property
    def _choices(self) -> list[int]:
        """For each final state, how many valid choices of heads its encoders serve."""
        states = np.arange(self.rules.dead)[:, None]
        served = self.rules.serves(states, self.heads.needs[self.heads.allowed])
        return [int(number) for number in served.sum(axis=1)]


@lru_cache(maxsize=16)
def _path_rules(
    start: PathStart,
    block: str,
    channels: int,
    base_stride: int,
    input_size: tuple[int, int],
    live: bool,
    latency: Parts | None,
) -> PathRules:
    shape = {"block": block, "channels": channels, "base_stride": base_stride, "input_size": input_size}
    return path_rules(start, **shape, live=live, latency=latency)  # type: ignore[arg-type]


@lru_cache(maxsize=8)
def _path_table(settings: _PathSettings, depth: int, metric: str) -> PathTable:
    """The counting table of a metric; spaces that differ in their budget or their heads alone share it."""
    return PathTable(UnitCosts(_path_rules(*settings), metric, depth), everything(depth))
