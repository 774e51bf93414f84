"""The MSNAS search space: validity, exact costs and counts, exactly uniform draws, with and without a budget.

"Multi-scale Network Architecture Search for Object Detection", section 3. A genome has a gene for each block,
an index into (0.5, 1, 2), and a gene for each head, an index into the five feature strides.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from supernet.cost import Cost, total
from supernet.errors import BudgetError, SpaceError
from supernet.space import METRICS, Budget, Genome
from supernet.strides.architecture import BLOCK_STRIDES, NUM_GROUPS, NUM_LEVELS, Architecture, stride_levels
from supernet.strides.counting.cost_interval import CostInterval
from supernet.strides.counting.joint_interval import JointInterval
from supernet.strides.counting.path_neighbours import Neighbours, Pool
from supernet.strides.counting.path_rules import COUNT, Bools, Ints
from supernet.strides.counting.path_table import FAR
from supernet.strides.counting.stride_tables import StrideTables
from supernet.strides.dead_parts import dead_parts
from supernet.strides.first_stage_cost import STEM_CHANNELS, PathStart, path_parts, stem_start
from supernet.strides.fpn_points import fpn_paths, ssd_paths
from supernet.strides.latency_parts import check_parts
from supernet.strides.stride_rules import StrideRules, check_architecture, check_channels, check_depth


class StrideSpace:
    """Architectures of a stem, `depth` mixed blocks of `channels` channels and five heads.

    block: "basic" or "bottleneck". base_stride: 4 as published, or 2 for small images. stem: its channels.
    head_rules: eq. 7's bounds on the heads (off: Table 3; their order always holds). live: a head reads the stride of
    the last block, so that no block is dead (off: the published spaces). tied: numbers, in 2..5, of the heads that read
    what the head before them reads, so that their genes are not searched; None: none. heads: the one choice of heads
    there is (Table 2), or None. input_size: (height, width) in pixels that costs are counted at. latency: microseconds
    by part (`latency_parts.part_names`), where latency is a cost too. Raises SpaceError where no such space exists.
    """

    budget: Budget | None = None  # that is bound in

    def __init__(
        self,
        *,
        block: str,
        depth: int,
        channels: int,
        base_stride: int = 4,
        stem: int = STEM_CHANNELS,
        head_rules: bool = True,
        live: bool = True,
        tied: Sequence[int] | None = None,
        heads: Sequence[int] | None = None,
        input_size: Sequence[int] = (832, 1280),
        latency: Mapping[str, int] | None = None,
    ) -> None:
        rules = StrideRules(
            block=block,
            depth=depth,
            channels=channels,
            base_stride=base_stride,
            head_rules=head_rules,
            live=live,
            tied=tied,
            heads=heads,
            input_size=input_size,
        )
        check_channels("stem", stem)
        self.stem = int(stem)
        self.latency = None if latency is None else check_parts(latency, base_stride)
        self._build(stem_start(int(base_stride), rules.size, self.stem), rules)

    def _build(self, start: PathStart, rules: StrideRules) -> None:
        """Everything that follows from the rules."""
        self._rules, self.start, self.block = rules, start, rules.block
        self.depth, self.channels, self.base_stride = int(rules.depth), int(rules.channels), int(rules.base_stride)
        self.head_rules, self.live, self.input_size = rules.head_rules, rules.live, rules.size
        self.tied = tuple(map(int, rules.tied or ()))
        self.heads = None if rules.heads is None else tuple(map(int, rules.heads))
        self.levels = stride_levels(self.base_stride)
        fixed = None if self.heads is None else tuple(map(self.levels.index, self.heads))
        shape = (start, self.block, self.depth, self.channels, self.base_stride, self.input_size)
        self._tables = StrideTables(*shape, self.head_rules, self.live, self.tied, fixed, self.latency)
        self._bounds = (COUNT, 0, 0)  # metric, low, high of the budget; without one everything counts 0
        self._rest: tuple[Budget, ...] = ()  # further budgets
        if self._tables.count() == 0:
            names = ("depth", "head_rules", "live", "tied", "heads")
            said = ", ".join(f"{name}={getattr(rules, name)!r}" for name in names)
            raise SpaceError(f"No architecture keeps the rules of this space: {said}.")

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), self.config, self.budget)

    @property
    def config(self) -> dict[str, Any]:
        """What the constructor needs to make this space again, as JSON."""
        latency = None if self.latency is None else dict(self.latency)
        return {**self._rules.config, "stem": self.stem, "latency": latency}

    @property
    def metrics(self) -> tuple[str, ...]:
        """What networks of this space cost, by name: `latency_us` where it was measured."""
        return METRICS if self.latency is not None else METRICS[:-1]

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """How many values each gene has."""
        return (len(BLOCK_STRIDES),) * self.depth + (NUM_LEVELS,) * NUM_GROUPS

    @property
    def sections(self) -> Mapping[str, slice]:
        """`encoder` and, unless they are fixed, `heads`: the parts of a genome that vary one at a time."""
        parts = {"encoder": slice(0, self.depth), "heads": slice(self.depth, self.depth + NUM_GROUPS)}
        return parts if self.heads is None else {"encoder": parts["encoder"]}

    def encode(self, architecture: Architecture) -> Genome:
        """The genome of an architecture, valid or not. Raises SpaceError where it has none here."""
        check_depth(architecture, self.depth)
        for index, stride in enumerate(architecture.heads):
            if stride not in self.levels:
                raise SpaceError(f"Head {index + 1}: the stride must be one of {self.levels}, but got {stride}.")
        blocks = map(BLOCK_STRIDES.index, architecture.strides)
        return (*blocks, *map(self.levels.index, architecture.heads))

    def decode(self, genome: Sequence[int]) -> Architecture:
        """The architecture of `genome`, valid or not. Raises SpaceError where a gene has no meaning."""
        if not self._tables.is_genome(genome):
            raise SpaceError(f"A genome here is {self.depth} genes in 0..2, then five in 0..4, but got {genome!r}.")
        strides = tuple(BLOCK_STRIDES[gene] for gene in genome[: self.depth])
        return Architecture(strides, tuple(self.levels[gene] for gene in genome[self.depth :]))

    def parse(self, text: str) -> Architecture:
        """The architecture written as `text`; whoever names one may name one that breaks `live` or `tied`.

        Raises SpaceError where it breaks another rule of this space.
        """
        architecture = Architecture.parse(text)
        self._check(architecture, named=True)
        return architecture

    def sizes(self) -> dict[str, int]:
        """How large the space is, in the words of `msnas space`."""
        return {"encoders": self.count_encoders(), "architectures": self.count()}

    def validate(self, architecture: Architecture) -> None:
        """Raises SpaceError naming the block or head that breaks a rule, and the rule."""
        self._check(architecture)

    def _check(self, architecture: Architecture, *, named: bool = False) -> None:
        """named: somebody names it, so that `live` and `tied`, which bind the search alone, need not hold."""
        rules = replace(self._rules, live=False, tied=None) if named else self._rules
        check_architecture(architecture, self.start, rules)

    def is_valid(self, genome: Sequence[int]) -> bool:
        """Whether `genome` is an architecture that keeps all rules, and the budget where one is bound in."""
        tables, (metric, low, high) = self._tables, self._bounds
        if not tables.is_genome(genome) or not tables.keeps_rules(genome):
            return False
        inside = low <= tables.cost(genome, metric) <= high
        return inside and all(b.low <= tables.cost(genome, b.metric) <= b.high for b in self._rest)

    def valid(self, genomes: npt.ArrayLike) -> Bools:
        """`is_valid` of many genomes at once: [n, N + 5] to [n]."""
        costs = self._tables.costs_by_metric(genomes)
        inside: Bools = costs["macs"] >= 0
        for metric, low, high in (self._bounds, *((b.metric, b.low, b.high) for b in self._rest)):
            cost = costs.get(metric, np.int64(0))
            inside = inside & (low <= cost) & (cost <= high)
        return inside

    def cost(self, genome: Sequence[int]) -> Cost:
        """Exact cost of the first stage of a genome, dead blocks included. Raises SpaceError as `parse` does."""
        architecture = self.decode(genome)
        if not self._tables.keeps_rules(genome):
            self._check(architecture, named=True)
        return Cost(**{metric: self._tables.cost(genome, metric) for metric in self.metrics})

    def parts(self, architecture: Architecture) -> dict[str, Cost]:
        """Every part of a path with its cost, by the names of `supernet.strides.first_stage_cost.path_parts`."""
        return path_parts(architecture, self.start, **self._shape)

    def dead_cost(self, architecture: Architecture) -> Cost:
        """What dead blocks and the laterals that their stages owe take of its cost, for nothing."""
        return total(dead_parts(architecture, self.start, **self._shape).values())

    @property
    def _shape(self) -> dict[str, Any]:
        names = ("block", "channels", "base_stride", "input_size")
        return {name: getattr(self, name) for name in names}

    def costs(self, genomes: npt.ArrayLike) -> tuple[Ints, Ints]:
        """MACs [n] and parameters [n] of genomes [n, N + 5], -1 for those that break a rule of the space."""
        return self._tables.costs(genomes)

    def cost_range(self, metric: str = "macs") -> tuple[int, int]:
        """What the cheapest and the dearest architecture of the space cost, inside a budget or not."""
        self._check_metrics(metric)
        _, least = self._tables.interval(metric, 0, -1).nearest()
        most, _ = self._tables.interval(metric, FAR, FAR).nearest()
        assert least is not None, "a space holds at least one architecture"
        assert most is not None, "a space holds at least one architecture"
        return least, most

    def count_encoders(self, *, with_heads: bool = False) -> int:
        """Encoders with valid feature strides; with_heads: only those that serve a valid choice of heads."""
        return self._tables.count_encoders(with_heads=with_heads)

    def count(self, budget: Budget | None = None) -> int:
        """Exact number of architectures: inside `budget`, or without one all that this space holds.

        Where several budgets hold together it may be an estimate (`counted`).
        """
        if budget is not None:
            self._check_metrics(budget.metric, *(other.metric for other in budget.also))
            interval = self._tables.interval(budget.metric, budget.low, budget.high)
            return self._joint_of(interval, budget.also).total if budget.also else interval.total
        return self._joint.total if self._rest else self._interval.total

    @property
    def counted(self) -> str:
        """How `count()` came about: exactly, or estimated from so many draws."""
        return self._joint.counted if self._rest else "exactly"

    def sample(self, rng: np.random.Generator) -> Genome:
        """One architecture, each with exactly the same probability; nothing is rejected."""
        return self._joint.draw(rng) if self._rest else self._interval.draw(rng)

    def walk(self, rng: np.random.Generator) -> Genome:
        """One architecture by a naive walk, biased to high resolution.

        Each block's stride is uniform among those that can still lead to an architecture, then the heads are uniform.
        """
        draw = self._interval.walk
        return self._joint.until_kept(lambda: draw(rng)) if self._rest else draw(rng)

    def allowed(self, prefix: Sequence[int]) -> tuple[int, ...]:
        """Values of the next gene that can still lead to an architecture in here; () where there is none.

        Of several budgets it knows the first only.
        """
        known = all(0 <= gene < size for gene, size in zip(prefix, self.cardinalities, strict=False))
        if not known or len(prefix) >= len(self.cardinalities):
            return ()
        return self._interval.allowed(prefix)

    def neighbour(
        self, parents: Sequence[Genome], section: str, radius: int, rng: np.random.Generator
    ) -> Genome | None:
        """A child drawn exactly uniformly from the valid neighbours (inside the budget); None where none is.

        Only genes of `section` vary; all others are the first parent's. A tied head follows the head before it and
        does not count as a gene. One parent (mutation): the child
        differs from it in 1 to `radius` genes. Two parents (crossover): every gene of the section is one of
        the parents', but for at most `radius` genes that may take any value, and the child differs from both
        parents; radius 0 is a pure crossover. Parents need not be valid themselves. A radius beyond the
        section's length means its length; time grows with the radius, from a fraction of a millisecond up to that
        of building the whole table, which further children of the same parents share.
        """
        pool = self._pool(tuple(parents), section, radius)
        return pool.draw(rng) if pool.total else None

    @cached_property
    def _pool(self) -> Callable[[tuple[Genome, ...], str, int], Pool]:
        """Neighbourhoods; whoever draws from one often draws again, so the last are kept."""
        neighbours = Neighbours(self._interval)

        @lru_cache(maxsize=1024)
        def pool(parents: tuple[Genome, ...], section: str, radius: int) -> Pool:
            self._check_neighbourhood(parents, section, radius)
            found = neighbours.pool(parents, section, min(radius, NUM_GROUPS if section == "heads" else self.depth))
            return self._joint.children(found) if self._rest else found

        return pool

    def _check_neighbourhood(self, parents: Sequence[Genome], section: str, radius: int) -> None:
        if section not in self.sections:
            raise SpaceError(f"The sections of this space are {', '.join(self.sections)}, but got {section!r}.")
        if len(parents) not in (1, 2):
            raise SpaceError(f"A child has one parent (mutation) or two (crossover), but got {len(parents)}.")
        if radius < 2 - len(parents):
            raise SpaceError(f"radius >= {2 - len(parents)} must hold here, but got {radius}.")
        for parent in parents:
            self.decode(parent)

    def _check_metrics(self, *metrics: str) -> None:
        for metric in metrics:
            if metric not in self.metrics:
                known = ", ".join(self.metrics)
                raise SpaceError(f"The costs of this space are {known}, but got {metric!r} (latency must be measured).")

    def within(self, budget: Budget) -> Self:
        """This space inside `budget` (in place of an earlier one). Raises SpaceError where that is empty.

        Of several budgets the first is counted in the tables, the others are checked (`JointInterval`).
        """
        bounded = type(self)(**self.config)
        bounded._bind(budget)
        return bounded

    def _bind(self, budget: Budget) -> None:
        self.budget = budget
        self._check_metrics(budget.metric, *(other.metric for other in budget.also))
        self._bounds, self._rest = (budget.metric, budget.low, budget.high), budget.also
        if self._interval.total == 0:
            nearest = " and ".join(f"{cost:,}" for cost in self._interval.nearest() if cost is not None)
            raise BudgetError(f"No architecture has {replace(budget, also=())}; the nearest have {nearest}.")
        if self._rest:
            self.count()  # raises where nothing keeps them all

    def ssd_like(self, budget: Budget) -> Architecture:
        """The SSD of this space that is nearest to the budget: down only, no lateral.

        Its path only keeps or halves, visits all five strides, and each head reads the next coarser one.
        Nearest: in cost to the target; in mode "ceiling" not above it, where one is not. Raises SpaceError
        where the space has no such path.
        """
        if self.start.stride > self.base_stride:
            raise SpaceError(
                f"An SSD-like path begins at stride {self.base_stride}, but this space at {self.start.stride}."
            )
        return self._nearest(ssd_paths(self.depth), self.levels, budget)

    def fpn_like(self, budget: Budget) -> Architecture:
        """The feature pyramid network of this space that is nearest to the budget.

        Its path goes down to the coarsest stride by blocks of strides 1 and 2, then up to the finest by blocks of
        strides 1 and 0.5, with a lateral at every stride on the way up: behind a stem the first block has stride 1,
        so that the finest has one too. Each head reads the next coarser stride, the finest first (two of them, where
        that is 2 * base_stride). Among these, blocks of stride 1 that cost the same on both ways stand on the first.
        Nearest: as for `ssd_like`. Raises SpaceError where the space has no such path.
        """
        first, finest = (self.levels.index(stride) for stride in (self.start.stride, self.start.finest))
        paths = fpn_paths(self.depth, first, finest, behind_stem=not self.start.ended)
        return self._nearest(paths, tuple(max(level, self.start.finest) for level in self.levels), budget)

    def _nearest(self, paths: Ints, heads: tuple[int, ...], budget: Budget) -> Architecture:
        """Of `paths` [n, N] under `heads`, tied or not, the one that is nearest to the budget."""
        if self.heads not in (None, heads):
            raise SpaceError(f"Such a path has the heads {heads}, but those of this space are fixed to {self.heads}.")
        levels = np.broadcast_to([self.levels.index(stride) for stride in heads], (len(paths), NUM_GROUPS))
        genomes = np.hstack((paths, levels))
        costs = replace(self._tables, tied=()).costs_by_metric(genomes)[budget.metric]
        distance = np.abs(costs - min(round(budget.target), FAR))
        if budget.mode == "ceiling" and (costs <= budget.high).any():
            distance = np.where(costs <= budget.high, distance, FAR)
        return self.decode(genomes[distance.argmin()].tolist())

    @cached_property
    def _interval(self) -> CostInterval:
        return self._tables.interval(*self._bounds)

    @cached_property
    def _joint(self) -> JointInterval:
        return self._joint_of(self._interval, self._rest)

    def _joint_of(self, interval: CostInterval, rest: tuple[Budget, ...]) -> JointInterval:
        return JointInterval(interval, rest, self._tables.costs_by_metric)


def _again(kind: type[StrideSpace], config: dict[str, Any], budget: Budget | None) -> StrideSpace:
    space = kind(**config)
    return space if budget is None else space.within(budget)
