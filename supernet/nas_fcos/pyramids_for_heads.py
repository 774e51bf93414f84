"""NAS-FCOS's pyramids as the first half of a search: inside a budget, only those that some head fits on.

A pyramid is scored narrow under a fixed head, heads are searched on it at a width of their own: a budget that holds the
one need not hold any of the others, which would show when all pyramids are scored.
"""

from typing import Any, Self

import numpy as np

from supernet.cost import Cost
from supernet.errors import BudgetError
from supernet.nas_fcos.decoder_cost import encoder_cost, head_cost
from supernet.nas_fcos.head_space import HeadSpace
from supernet.nas_fcos.pyramid_space import PyramidSpace
from supernet.space import Budget, Genome

HEADS = 100  # drawn to stand for all: where one of them fits, draws from all find enough that do
TRIES = 500  # pyramids inside the budget, drawn to find one that a head fits on


class PyramidsForHeads(PyramidSpace):
    """`PyramidSpace` before a search of `heads` on what it finds, inside the same `budget`."""

    def __init__(self, *, heads: HeadSpace, budget: Budget | None = None, **pyramids: Any) -> None:
        super().__init__(**pyramids, budget=budget)
        self.heads = heads
        self._settings = {**self._settings, "heads": heads}
        self._head_costs = _drawn_costs(heads)

    @classmethod
    def of(cls, pyramids: PyramidSpace, heads: HeadSpace) -> Self:
        """The pyramids and the budget of `pyramids`, before a search of `heads`."""
        return cls(heads=heads, budget=pyramids.budget, **pyramids._settings)

    def described(self) -> dict[str, Any]:
        """Everything that makes it this space, as JSON values."""
        return {**super().described(), "heads": self.heads.described()}

    def sample(self, rng: np.random.Generator) -> Genome:
        """As `PyramidSpace` draws. Raises BudgetError where of `TRIES` pyramids inside the budget none holds a head."""
        if self.budget is None:
            return super().sample(rng)
        nearest: int | None = None
        for _ in range(TRIES):
            genome = super().sample(rng)
            costs = self._with_heads(genome)
            if any(map(self.budget.holds, costs)):
                return genome
            for cost in costs:
                nearest = self.budget.nearer(nearest, cost)
        raise BudgetError(
            f"Some head of {self.heads.channels} channels must fit into {self.budget}, too, but on {TRIES} pyramids "
            f"inside it none does: the nearest has {nearest:,}; raise the budget, or lower heads.channels."
        )

    def _fits(self, genome: Genome) -> bool:
        if not super()._fits(genome):
            return False
        return self.budget is None or any(map(self.budget.holds, self._with_heads(genome)))

    def _with_heads(self, genome: Genome) -> list[Cost]:
        """What the detectors cost that the drawn heads make on this pyramid."""
        heads = self.heads
        below = encoder_cost(
            self.decode(genome), heads.backbone, channels=heads.channels, input_size=heads.input_size, width=heads.width
        )
        return [below + cost for cost in self._head_costs]


def _drawn_costs(heads: HeadSpace) -> tuple[Cost, ...]:
    """Of the heads alone, each cost once."""
    rng = np.random.default_rng(0)
    drawn = (heads.decode(heads.sample(rng)) for _ in range(HEADS))
    return tuple({head_cost(head, heads.channels, heads.num_classes, heads.input_size): None for head in drawn})
