"""The two NAS-FCOS search spaces: pyramids of basic blocks, and heads with a sharing index.

NAS-FCOS, arXiv 1906.04423, section 3.2. Both offer what every space here offers (`supernet.space.SearchSpace`), so
evolution and the controller run on either. Torch is needed for the backbone's cost alone.
"""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from functools import cache, cached_property
from itertools import product
from math import prod
from typing import Any, Self

import numpy as np

from supernet.cost import Cost
from supernet.errors import SpaceError
from supernet.nas_fcos_architecture import (
    AGGREGATIONS,
    HEAD_OPS,
    NUM_OUTPUTS,
    ORIGINAL,
    PUBLISHED,
    UNARY_OPS,
    Block,
    Decoder,
    Head,
    Pyramid,
)
from supernet.nas_fcos_cost import detector_cost
from supernet.nas_fpn_neighbours import draw_neighbour
from supernet.space import Budget, Genome

GENES_PER_BLOCK = 5
CHOICES_PER_BLOCK = len(UNARY_OPS) ** 2 * len(AGGREGATIONS)  # 50, beside the two ids
TRIES = 20_000  # draws that are made to find one genome inside a budget,
NEIGHBOUR_TRIES = 200  # and to find a neighbour there


class _DecoderSpace(ABC):
    """What both spaces share; a cost is the whole detector's: backbone (`width` times as wide), pyramid, head.

    Inside a budget genomes are drawn by rejection, which keeps a draw uniform but knows no number of them.
    """

    divisor = 32

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
        return detector_cost(
            self.decoder(self.decode(genome)),
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
            value = getattr(cost, self.budget.metric)
            if nearest is None or abs(value - self.budget.target) < abs(nearest - self.budget.target):
                nearest = value
        raise SpaceError(f"No decoder with {self.budget} was found in {TRIES:,} draws; the nearest has {nearest:,}.")

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


class PyramidSpace(_DecoderSpace):
    """Pyramids of `blocks` basic blocks; a genome is id1, id2, op1, op2, agg of each block in turn (section 3.2.1).

    A pyramid is valid when at least three of its blocks are left unconsumed for P3, P4, P5. `lowest_level`: 2, the
    pool begins with C2..C5 (the released code), or 3, with C3..C5 (the paper's text). `head`: what stays fixed while
    pyramids are searched, "fcos" or a head as text.
    """

    def __init__(
        self,
        *,
        backbone: str = "resnet50",
        width: float = 1.0,
        channels: int = 64,
        blocks: int = 7,
        lowest_level: int = 2,
        head: str = ORIGINAL,
        num_classes: int = 80,
        input_size: tuple[int, int] = (384, 384),
        budget: Budget | None = None,
    ) -> None:
        settings = {name: value for name, value in locals().items() if name not in ("self", "budget", "__class__")}
        super().__init__(settings, budget)
        if lowest_level not in (2, 3):
            raise SpaceError(f"The pool begins at C2 or C3, but got {lowest_level=}.")
        if blocks < NUM_OUTPUTS:
            raise SpaceError(f"At least 3 blocks are needed for P3, P4 and P5, but got {blocks=}.")
        self.blocks, self.num_inputs = blocks, 6 - lowest_level
        self.head = None if head == ORIGINAL else Head.parse(head)

    @cached_property
    def cardinalities(self) -> tuple[int, ...]:
        """Choices of every gene; the ids' grow with the pool."""
        pools = range(self.num_inputs, self.num_inputs + self.blocks)
        ops = len(UNARY_OPS)
        return tuple(choices for n in pools for choices in (n, n, ops, ops, len(AGGREGATIONS)))

    @property
    def sections(self) -> dict[str, slice]:
        """One section: operators vary the whole pyramid."""
        return {"pyramid": slice(0, GENES_PER_BLOCK * self.blocks)}

    def encode(self, pyramid: Pyramid) -> Genome:
        """The pyramid's genome."""
        if (len(pyramid.blocks), pyramid.num_inputs) != (self.blocks, self.num_inputs):
            raise SpaceError(
                f"A pyramid of this space has {self.blocks} blocks over {self.num_inputs} features, "
                f"but got {len(pyramid.blocks)} over {pyramid.num_inputs}."
            )
        return tuple(gene for block in pyramid.blocks for gene in block.genes)

    def decode(self, genome: Sequence[int]) -> Pyramid:
        """The genome's pyramid. Raises SpaceError for a genome that breaks a rule."""
        if len(genome) != GENES_PER_BLOCK * self.blocks:
            raise SpaceError(f"A genome has {GENES_PER_BLOCK * self.blocks} genes, but got {len(genome)}.")
        starts = range(0, len(genome), GENES_PER_BLOCK)
        return Pyramid(tuple(Block(*genome[s : s + GENES_PER_BLOCK]) for s in starts), self.num_inputs)

    def parse(self, text: str) -> Pyramid:
        """The pyramid written as `text`. Raises SpaceError where it is none of this space."""
        pyramid = Pyramid.parse(text)
        self.encode(pyramid)
        return pyramid

    def decoder(self, architecture: Pyramid) -> Decoder:
        """The pyramid with the fixed head."""
        return Decoder(architecture, self.head)

    def allowed(self, prefix: Sequence[int]) -> tuple[int, ...]:
        """Choices of the next gene that leave three blocks for the outputs; a budget is left to the whole genome."""
        choices = range(self.cardinalities[len(prefix)])
        if len(prefix) % GENES_PER_BLOCK >= 2:
            return tuple(choices)
        return tuple(c for c in choices if self.completions((*prefix, c)))

    def state(self, prefix: Genome) -> Hashable:
        """Where the prefix ends, and which finished blocks nothing reads yet."""
        return len(prefix), self._loose(prefix)

    def completions(self, prefix: Sequence[int]) -> int:
        """How many genomes that keep the rules begin with `prefix`, exactly."""
        finished, place = divmod(len(prefix), GENES_PER_BLOCK)
        loose = len(self._loose(prefix))
        if place == 0:
            return self._ways(finished, loose)
        end = GENES_PER_BLOCK * (finished + 1)
        free = prod(self.cardinalities[max(len(prefix), end - 3) : end])  # the operations still to be chosen
        if place >= 2:
            return free * self._ways(finished + 1, loose + 1)
        others = self.num_inputs + finished - loose
        return free * (
            others * self._ways(finished + 1, loose + 1) + (loose * self._ways(finished + 1, loose) if loose else 0)
        )

    def _loose(self, prefix: Sequence[int]) -> frozenset[int]:
        """Pool ids of the finished blocks of `prefix` that nothing in it reads."""
        finished = len(prefix) // GENES_PER_BLOCK
        read = {gene for index, gene in enumerate(prefix) if index % GENES_PER_BLOCK < 2}
        return frozenset(range(self.num_inputs, self.num_inputs + finished)) - read

    def _ways(self, finished: int, loose: int) -> int:
        """Ways to go on from `finished` blocks of which `loose` are unconsumed."""
        return _ways(self.blocks - finished, self.num_inputs + finished, loose)

    def size(self) -> int:
        """Genomes, valid or not: (product of the pool's sizes)^2 * 50^blocks; 2.8577e23 for seven blocks on C2..C5."""
        return prod(self.cardinalities)

    def count(self) -> int | None:
        """Genomes that keep the rules, exactly; None inside a budget."""
        return self.completions(()) if self.budget is None else None

    def sizes(self) -> dict[str, int]:
        """How large the space is, in the words of `msnas space`."""
        return {"genomes": self.size(), "architectures": self.completions(())}

    def _extremes(self) -> list[Genome]:
        """Every block at the finest stride, which costs most; of skips and sums, which cost nothing at any stride."""
        options = product(range(len(UNARY_OPS)), range(len(AGGREGATIONS)))
        return [(0, 0, op, op, aggregation) * self.blocks for op, aggregation in options]

    def _draw(self, rng: np.random.Generator) -> Genome:
        genome: Genome = ()
        for place, choices in enumerate(self.cardinalities):
            if place % GENES_PER_BLOCK < 2:
                gene = _weighted([self.completions((*genome, c)) for c in range(choices)], rng)
            else:  # operations do not narrow what can follow
                gene = int(rng.integers(choices))
            genome = (*genome, gene)
        return genome


class HeadSpace(_DecoderSpace):
    """Heads of `layers` operations and a sharing index, which is the last gene (sections 3.2.2 and 3.2.3).

    Every genome keeps the rules. `pyramid`: what stays fixed while heads are searched, "fcos" or a pyramid as text.
    """

    def __init__(
        self,
        *,
        backbone: str = "resnet50",
        width: float = 1.0,
        channels: int = 128,
        layers: int = 6,
        pyramid: str = str(PUBLISHED.pyramid),
        num_classes: int = 80,
        input_size: tuple[int, int] = (384, 384),
        budget: Budget | None = None,
    ) -> None:
        settings = {name: value for name, value in locals().items() if name not in ("self", "budget", "__class__")}
        super().__init__(settings, budget)
        if layers < 1:
            raise SpaceError(f"A head needs at least one layer, but got {layers=}.")
        self.layers = layers
        self.pyramid = None if pyramid == ORIGINAL else Pyramid.parse(pyramid)

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """Six operations a layer, and where sharing begins."""
        return (len(HEAD_OPS),) * self.layers + (self.layers + 1,)

    @property
    def sections(self) -> dict[str, slice]:
        """The operations, and the sharing index."""
        return {"operations": slice(0, self.layers), "sharing": slice(self.layers, self.layers + 1)}

    def encode(self, head: Head) -> Genome:
        """The head's genome."""
        if len(head.ops) != self.layers:
            raise SpaceError(f"A head of this space has {self.layers} layers, but got {len(head.ops)}.")
        return (*head.ops, head.share)

    def decode(self, genome: Sequence[int]) -> Head:
        """The genome's head. Raises SpaceError for a genome that breaks a rule."""
        if len(genome) != self.layers + 1:
            raise SpaceError(f"A genome has {self.layers + 1} genes, but got {len(genome)}.")
        return Head(tuple(genome[:-1]), genome[-1])

    def parse(self, text: str) -> Head:
        """The head written as `text`. Raises SpaceError where it is none of this space."""
        head = Head.parse(text)
        self.encode(head)
        return head

    def on(self, pyramid: Pyramid | None) -> "HeadSpace":
        """The same heads on another fixed pyramid (None: FCOS's own)."""
        return HeadSpace(**{**self._settings, "pyramid": str(pyramid or ORIGINAL)}, budget=self.budget)

    def decoder(self, architecture: Head) -> Decoder:
        """The head on the fixed pyramid."""
        return Decoder(self.pyramid, architecture)

    def allowed(self, prefix: Sequence[int]) -> tuple[int, ...]:
        """Choices of the next gene: all of them; a budget is left to the whole genome."""
        return tuple(range(self.cardinalities[len(prefix)]))

    def state(self, prefix: Genome) -> Hashable:
        """Where the prefix ends."""
        return len(prefix)

    def size(self) -> int:
        """Genomes: 6^6 * 7 = 326,592 for six layers."""
        return prod(self.cardinalities)

    def count(self) -> int | None:
        """Genomes that keep the rules: all; None inside a budget."""
        return self.size() if self.budget is None else None

    def sizes(self) -> dict[str, int]:
        """How large the space is, in the words of `msnas space`."""
        return {"architectures": self.size()}

    def _extremes(self) -> list[Genome]:
        return [(op,) * self.layers + (0,) for op in range(len(HEAD_OPS))]

    def _draw(self, rng: np.random.Generator) -> Genome:
        return tuple(int(rng.integers(choices)) for choices in self.cardinalities)


def _weighted(weights: Sequence[int], rng: np.random.Generator) -> int:
    """An index with probability exactly proportional to its weight; weights may exceed 64 bits."""
    total = sum(weights)
    bits = total.bit_length()
    ticket = total
    while ticket >= total:
        ticket = int.from_bytes(rng.bytes((bits + 7) // 8)) >> (-bits % 8)
    for index, weight in enumerate(weights):
        if ticket < weight:
            return index
        ticket -= weight
    raise AssertionError("the ticket is below the sum of the weights")


@cache
def _ways(left: int, pool: int, loose: int) -> int:
    """Ways to add `left` blocks to a `pool` of features of which `loose` are unconsumed blocks."""
    if left == 0:
        return int(loose >= NUM_OUTPUTS)
    others = pool - loose
    total = others**2 * _ways(left - 1, pool + 1, loose + 1)  # reads no unconsumed block
    if loose >= 1:  # reads one of them, once or twice
        total += loose * (1 + 2 * others) * _ways(left - 1, pool + 1, loose)
    if loose >= 2:  # reads two of them
        total += loose * (loose - 1) * _ways(left - 1, pool + 1, loose - 1)
    return CHOICES_PER_BLOCK * total
