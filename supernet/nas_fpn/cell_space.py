"""NAS-FPN's search space: pyramids of merging cells, counted and drawn exactly, with and without a budget.

Ghiasi et al., "NAS-FPN", arXiv 1904.07392, section 3.1. Offers what every space here offers
(`supernet.space.SearchSpace`), so evolution and the controller run on it; torch is needed for the backbone's
cost alone.
"""

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from functools import cached_property
from math import factorial, prod
from typing import Any

import numpy as np

from supernet.cost import Cost, total
from supernet.errors import BudgetError, SpaceError
from supernet.nas_fpn.plan_cost import cell_cost, check_levels_fit, fixed_cost
from supernet.nas_fpn.pyramid_plan import OPS, Cell, PyramidPlan
from supernet.prefix_neighbours import draw_neighbour
from supernet.space import Budget, Genome

GENES_PER_CELL = 4


class CellSpace:
    """Pyramids of `num_cells` merging cells; a genome is first, second, level - 3, op of each cell in turn.

    The last cells are the outputs, one for each of the levels 3..`top_level`; those before are intermediate
    and never make level 3. Every choice leaves later cells the same number of choices, so a walk is uniform
    over genomes.

    A cost is the whole detector's at `input_size` (height, width), multiples of 2**top_level: backbone, projections,
    `stacks` copies of the pyramid at `channels`, RetinaNet heads for `num_classes`. Only the levels of the
    intermediate cells move it; so a budget is a set of level counts, and counting and uniform drawing inside it are
    exact, too.
    """

    def __init__(
        self,
        *,
        num_cells: int = 7,
        top_level: int = 7,
        channels: int = 256,
        stacks: int = 3,
        backbone: str = "resnet10",
        width: float = 1.0,
        lite: bool = False,
        num_classes: int = 91,
        input_size: tuple[int, int] = (512, 512),
        budget: Budget | None = None,
    ) -> None:
        if not 4 <= top_level <= 7:
            raise SpaceError(f"`4 <= top_level <= 7` must hold, but got {top_level=}.")
        self.levels = tuple(range(3, top_level + 1))
        if num_cells < len(self.levels):
            raise SpaceError(f"Levels 3..{top_level} need at least {len(self.levels)} cells, but got {num_cells=}.")
        if min(channels, stacks, num_classes) < 1:
            raise SpaceError(
                f"channels, stacks and num_classes must be at least 1, but got {channels=}, {stacks=}, {num_classes=}."
            )
        check_levels_fit(input_size, top_level)
        self.config: dict[str, Any] = {
            "num_cells": num_cells,
            "top_level": top_level,
            "channels": channels,
            "stacks": stacks,
            "backbone": backbone,
            "width": width,
            "lite": lite,
            "num_classes": num_classes,
            "input_size": input_size,
        }
        self.num_cells, self.top_level, self.budget = num_cells, top_level, budget
        self.input_size = (int(input_size[0]), int(input_size[1]))
        self.counted = "exactly"
        self.num_intermediate = num_cells - len(self.levels)
        self.divisor = 2**top_level

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """Choices of every gene; the candidates' grow with the list."""
        known = range(len(self.levels), len(self.levels) + self.num_cells)
        return tuple(choices for n in known for choices in (n, n, len(self.levels), len(OPS)))

    @property
    def sections(self) -> dict[str, slice]:
        """The intermediate cells (if any), the output cells, and the order of the output levels alone.

        The order lies inside the outputs: only a swap of two genes changes it, which small changes of a whole
        output section would hardly ever make.
        """
        border, end = GENES_PER_CELL * self.num_intermediate, GENES_PER_CELL * self.num_cells
        order = slice(border + 2, end, GENES_PER_CELL)
        parts = {"intermediate": slice(0, border), "outputs": slice(border, end), "order": order}
        return {name: part for name, part in parts.items() if part.stop > part.start}

    def encode(self, plan: PyramidPlan) -> Genome:
        """The plan's genome. Raises SpaceError for a plan of another space."""
        if (len(plan.cells), plan.levels) != (self.num_cells, self.levels):
            raise SpaceError(
                f"A pyramid of this space has {self.num_cells} cells over levels 3..{self.top_level}, "
                f"but got {len(plan.cells)} over {plan.levels[0]}..{plan.levels[-1]}."
            )
        genes = ((c.first, c.second, c.level - self.levels[0], OPS.index(c.op)) for c in plan.cells)
        return tuple(gene for cell in genes for gene in cell)

    def decode(self, genome: Sequence[int]) -> PyramidPlan:
        """The genome's plan. Raises SpaceError for a genome that breaks a rule."""
        if len(genome) != GENES_PER_CELL * self.num_cells:
            raise SpaceError(f"A genome has {GENES_PER_CELL * self.num_cells} genes, but got {len(genome)}.")
        if bad := [i for i, (g, n) in enumerate(zip(genome, self.cardinalities, strict=True)) if not 0 <= g < n]:
            raise SpaceError(f"Gene {bad[0]} must lie in 0..{self.cardinalities[bad[0]] - 1}, but is {genome[bad[0]]}.")
        parts = (genome[k : k + GENES_PER_CELL] for k in range(0, len(genome), GENES_PER_CELL))
        return PyramidPlan(tuple(Cell(i, j, self.levels[level], OPS[op]) for i, j, level, op in parts), self.levels)

    def parse(self, text: str) -> PyramidPlan:
        """The plan written as `text`. Raises SpaceError where it is none of this space."""
        plan = PyramidPlan.parse(text)
        self.encode(plan)
        return plan

    def is_valid(self, genome: Sequence[int]) -> bool:
        """Whether every gene is one that `allowed` offers after those before it."""
        if len(genome) != GENES_PER_CELL * self.num_cells:
            return False
        return all(gene in self.allowed(genome[:place]) for place, gene in enumerate(genome))

    def allowed(self, prefix: Sequence[int]) -> tuple[int, ...]:
        """Choices of the next gene that can still lead to a valid genome inside the budget."""
        cell, place = divmod(len(prefix), GENES_PER_CELL)
        known = len(self.levels) + cell
        if place == 0:
            return tuple(range(known))
        if place == 1:
            return tuple(c for c in range(known) if c != prefix[-1])
        if place == 3:
            return tuple(range(len(OPS)))
        made = prefix[2::GENES_PER_CELL]
        if cell >= self.num_intermediate:
            return tuple(level for level in range(len(self.levels)) if level not in made[self.num_intermediate :])
        return tuple(level for level in range(1, len(self.levels)) if self._completions((*made, level)))

    def count(self, *, ordered: bool = True) -> int:
        """How many pyramids there are (inside the budget, where there is one), exactly.

        ordered: (i, j) and (j, i) count as two, as they are drawn; a pair's order changes the network only
        where a gp cell reads two inputs of one level. Unordered, every pair counts once.
        """
        plans = self._completions(()) * factorial(len(self.levels))
        for known in range(len(self.levels), len(self.levels) + self.num_cells):
            plans *= known * (known - 1) // (1 if ordered else 2) * len(OPS)
        return plans

    def sizes(self) -> dict[str, int]:
        """How large the space is, in the words of `msnas space`."""
        return {"architectures": self.count(), "unordered": self.count(ordered=False)}

    def sample(self, rng: np.random.Generator) -> Genome:
        """A genome, exactly uniform over those that are valid (inside the budget, where there is one)."""
        genome: list[int] = []
        while len(genome) < GENES_PER_CELL * self.num_cells:
            choices = self.allowed(genome)
            cell, place = divmod(len(genome), GENES_PER_CELL)
            if place == 2 and cell < self.num_intermediate:
                made = tuple(genome[2::GENES_PER_CELL])
                weights = np.array([self._completions((*made, level)) for level in choices], dtype=float)
                genome.append(int(rng.choice(choices, p=weights / weights.sum())))
            else:
                genome.append(choices[rng.integers(len(choices))])
        return tuple(genome)

    def state(self, prefix: Sequence[int]) -> Hashable:
        """All that `allowed` depends on after `prefix`, here and further on."""
        cell, place = divmod(len(prefix), GENES_PER_CELL)
        made = prefix[2::GENES_PER_CELL]
        begun = self._counts(made) if cell < self.num_intermediate else frozenset(made[self.num_intermediate :])
        return len(prefix), begun, prefix[-1] if place == 1 else None

    def neighbour(
        self, parents: Sequence[Genome], section: str, radius: int, rng: np.random.Generator
    ) -> Genome | None:
        """A valid child near one or two parents, uniform over all of them; None where there is none.

        One parent: 1 to `radius` genes of the section differ from it. Two: at most `radius` genes differ from
        both. Genes outside of the section are the first parent's.
        """
        return draw_neighbour(self, parents, section, radius, rng)

    def within(self, budget: Budget) -> "CellSpace":
        """The same space inside `budget`. Raises SpaceError with the nearest costs where it is empty."""
        bounded = CellSpace(**self.config, budget=budget)
        if not bounded._inside:
            costs = [getattr(cost, budget.metric) for cost in self._costs.values()]
            near = [
                max((c for c in costs if c < budget.low), default=None),
                min((c for c in costs if c > budget.high), default=None),
            ]
            exist = " and ".join(f"{cost:,}" for cost in near if cost is not None)
            raise BudgetError(f"No pyramid costs {budget}; the nearest costs that exist are {exist}.")
        return bounded

    def cost(self, genome: Sequence[int]) -> Cost:
        """Exact cost of the whole detector; closed form but for the backbone."""
        made = genome[2 : GENES_PER_CELL * self.num_intermediate : GENES_PER_CELL]
        return self._costs[self._counts(made)]

    def cost_range(self) -> tuple[int, int]:
        """MACs of the cheapest and of the dearest pyramid."""
        macs = [cost.macs for cost in self._costs.values()]
        return min(macs), max(macs)

    def _counts(self, made: Sequence[int]) -> tuple[int, ...]:
        """How many intermediate cells make each level but the finest; `made`: level genes."""
        counted = Counter(made)
        return tuple(counted[level] for level in range(1, len(self.levels)))

    @cached_property
    def _costs(self) -> dict[tuple[int, ...], Cost]:
        """The cost of every way to spread the intermediate cells over the levels but the finest."""
        wanted = ("channels", "input_size", "lite")
        shape = {name: self.config[name] for name in wanted}
        fixed = fixed_cost(
            self.levels,
            backbone=self.config["backbone"],
            width=self.config["width"],
            num_classes=self.config["num_classes"],
            **shape,
        )
        one = [cell_cost(level, stacks=self.config["stacks"], **shape) for level in self.levels]
        outputs = total([fixed, *one])
        return {
            spread: total([outputs, *(cost for cost, n in zip(one[1:], spread, strict=True) for _ in range(n))])
            for spread in self._spreads
        }

    @cached_property
    def _spreads(self) -> list[tuple[int, ...]]:
        return list(_spreads(self.num_intermediate, len(self.levels) - 1))

    @cached_property
    def _inside(self) -> list[tuple[int, ...]]:
        if self.budget is None:
            return self._spreads
        return [spread for spread in self._spreads if self.budget.holds(self._costs[spread])]

    def _completions(self, made: Sequence[int]) -> int:
        """In how many ways the levels of the intermediate cells can go on after `made`, inside the budget."""
        begun = self._counts(made)
        ways = 0
        for counts in self._inside:
            left = [whole - part for whole, part in zip(counts, begun, strict=True)]
            ways += _orders(left) if min(left) >= 0 else 0
        return ways


def _spreads(cells: int, levels: int) -> Iterator[tuple[int, ...]]:
    """Every way to spread `cells` cells over `levels` levels, as a count for each level."""
    if levels == 1:
        yield (cells,)
        return
    for first in range(cells + 1):
        for rest in _spreads(cells - first, levels - 1):
            yield (first, *rest)


def _orders(counts: Sequence[int]) -> int:
    """In how many orders cells with these counts per level can come (multinomial)."""
    return factorial(sum(counts)) // prod(factorial(count) for count in counts)
