"""What NAS-FCOS's two search spaces share: the cost of a whole detector, and draws inside a budget.

NAS-FCOS, arXiv 1906.04423, section 3.2. Both offer what every space here offers (`supernet.space.SearchSpace`), so
evolution and the controller run on either. Torch is needed for the backbone's cost alone.
"""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from typing import Any, Self

import numpy as np

from supernet.cost import Cost
from supernet.errors import BudgetError, SpaceError
from supernet.nas_fcos.decoder import Decoder
from supernet.nas_fcos.decoder_cost import detector_cost
from supernet.prefix_neighbours import draw_neighbour
from supernet.space import Budget, Genome

TRIES = 5_000  # draws that are made, seconds of them, to find one genome inside a budget,
NEIGHBOUR_TRIES = 200  # and to find a neighbour there


class DecoderSpace(ABC):
    """What both spaces share; a cost is the whole detector's: backbone (`width` times as wide), pyramid, head.

    Inside a budget genomes are drawn by rejection, which keeps a draw uniform but knows no number of them.
    """

    divisor = 32
    counted = "exactly"

    def __init__(self, settings: dict[str, Any], budget: Budget | None) -> None:
        if settings["channels"] < 1 or settings["num_classes"] < 1:
            raise SpaceError(
                f"channels and num_classes must be at least 1, "
                f"but got {settings['channels']} and {settings['num_classes']}."
            )
        self._settings = settings
        self.budget = budget
        self.backbone: str = settings["backbone"]
        self.width: float = settings["width"]
        self.channels: int = settings["channels"]
        self.num_classes: int = settings["num_classes"]
        height, width = settings["input_size"]
        self.input_size = (int(height), int(width))

    @property
    @abstractmethod
    def cardinalities(self) -> tuple[int, ...]:
        """How many values each gene has."""

    @property
    @abstractmethod
    def sections(self) -> dict[str, slice]:
        """The parts of a genome that are varied one at a time."""

    @abstractmethod
    def allowed(self, prefix: Sequence[int]) -> tuple[int, ...]:
        """Choices of the next gene that can still lead to a valid genome; a budget is left to the whole genome."""

    @abstractmethod
    def state(self, prefix: Genome) -> Hashable:
        """All that `allowed` depends on, here and further on."""

    @abstractmethod
    def decode(self, genome: Sequence[int]) -> Any:
        """The architecture of `genome`. Raises SpaceError where it breaks a rule."""

    @abstractmethod
    def decoder(self, architecture: Any) -> Decoder:
        """The whole decoder: the searched part and the fixed one."""

    @abstractmethod
    def count(self) -> int | None:
        """Genomes that keep the rules, exactly; None inside a budget, where draws are rejected and nothing counts."""

    @abstractmethod
    def _extremes(self) -> list[Genome]:
        """Genomes among which are the cheapest and the dearest in MACs."""

    @abstractmethod
    def _draw(self, rng: np.random.Generator) -> Genome:
        """A genome that keeps the rules, each with the same probability."""

    def cost(self, genome: Sequence[int]) -> Cost:
        """Exact multiply-accumulates and parameters of the whole detector."""
        return self.decoder_cost(self.decoder(self.decode(genome)))

    def decoder_cost(self, decoder: Decoder) -> Cost:
        """The same for a decoder whose two halves may be any, at this space's widths."""
        return detector_cost(
            decoder,
            self.backbone,
            channels=self.channels,
            num_classes=self.num_classes,
            input_size=self.input_size,
            width=self.width,
        )

    def cost_range(self) -> tuple[int, int]:
        """MACs of the cheapest and of the dearest decoder of the space, inside a budget or not."""
        macs = [self.cost(genome).macs for genome in self._extremes()]
        return min(macs), max(macs)

    def described(self) -> dict[str, Any]:
        """Everything that makes it this space, as JSON values."""
        return {**self._settings, "input_size": list(self.input_size), "budget": str(self.budget or "")}

    def within(self, budget: Budget) -> Self:
        """The same space inside `budget`. Raises SpaceError with the nearest cost seen where none is found in it."""
        bounded = type(self)(**self._settings, budget=budget)
        bounded.sample(np.random.default_rng(0))
        return bounded

    def is_valid(self, genome: Sequence[int]) -> bool:
        """Whether every gene is one that `allowed` offers after those before it, and the budget holds the cost."""
        genome = tuple(genome)
        if len(genome) != len(self.cardinalities):
            return False
        keeps_rules = all(gene in self.allowed(genome[:place]) for place, gene in enumerate(genome))
        return keeps_rules and self._fits(genome)

    def sample(self, rng: np.random.Generator) -> Genome:
        """A valid genome, exactly uniform over all of them; inside a budget after at most `TRIES` draws."""
        if self.budget is None:
            return self._draw(rng)
        nearest: int | None = None
        for _ in range(TRIES):
            genome = self._draw(rng)
            cost = self.cost(genome)
            if self.budget.holds(cost):
                return genome
            nearest = self.budget.nearer(nearest, cost)
        raise BudgetError(f"No decoder with {self.budget} was found in {TRIES:,} draws; the nearest has {nearest:,}.")

    def neighbour(
        self, parents: Sequence[Genome], section: str, radius: int, rng: np.random.Generator
    ) -> Genome | None:
        """A valid child, uniform over the neighbours (see `draw_neighbour`); None where few draws find none."""
        for _ in range(NEIGHBOUR_TRIES):
            child = draw_neighbour(self, parents, section, radius, rng)
            if child is None or self._fits(child):
                return child
        return None

    def _fits(self, genome: Genome) -> bool:
        return self.budget is None or self.budget.holds(self.cost(genome))
