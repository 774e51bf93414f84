"""NAS-FCOS's search space of pyramids of basic blocks (arXiv 1906.04423, section 3.2.1), counted and drawn exactly."""

from collections.abc import Hashable, Sequence
from functools import cache, cached_property
from itertools import product
from math import prod

import numpy as np

from supernet.errors import SpaceError
from supernet.nas_fcos.decoder import AGGREGATIONS, NUM_OUTPUTS, ORIGINAL, UNARY_OPS, Block, Decoder, Head, Pyramid
from supernet.nas_fcos.decoder_space import DecoderSpace
from supernet.space import Budget, Genome

GENES_PER_BLOCK = 5
CHOICES_PER_BLOCK = len(UNARY_OPS) ** 2 * len(AGGREGATIONS)  # 50, beside the two ids


class PyramidSpace(DecoderSpace):
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
                gene = _weighted(self._weights(genome, choices), rng)
            else:  # operations do not narrow what can follow
                gene = int(rng.integers(choices))
            genome = (*genome, gene)
        return genome

    def _weights(self, genome: Genome, choices: int) -> list[int]:
        """How many genomes that keep the rules go on with each feature: as many with any that is still unread."""
        unread = self._loose(genome)
        read = self.completions((*genome, 0))  # an input, of which the outputs need none
        loose = self.completions((*genome, min(unread))) if unread else 0
        return [loose if choice in unread else read for choice in range(choices)]


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
