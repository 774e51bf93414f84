"""One NAS-FCOS decoder as a value: its pyramid (seven basic blocks) and its head (six operations, a sharing index).

NAS-FCOS, arXiv 1906.04423, sections 3.2.1-3.2.3 and Table 1; the released code for what the text leaves open. No
torch.
"""

from dataclasses import dataclass

from supernet.errors import SpaceError

UNARY_OPS = ("sep3x3", "sep3x3_d3", "sep5x5_d6", "skip", "dconv3x3")  # Table 1
AGGREGATIONS = ("sum", "concat")
HEAD_OPS = ("conv1x1", "conv3x3", "sep3x3", "sep3x3_d3", "skip", "dconv3x3")
LEVELS = (3, 4, 5, 6, 7)
NUM_OUTPUTS = 3  # P3, P4, P5; P6 and P7 follow from P5
ORIGINAL = "fcos"  # a decoder's part that is FCOS's own


@dataclass(frozen=True, slots=True)
class Block:
    """A basic block: two features of the pool, an operation on each, and how the results are merged."""

    first: int
    second: int
    first_op: int
    second_op: int
    aggregation: int

    def __str__(self) -> str:
        return ",".join(map(str, self.genes))

    @property
    def genes(self) -> tuple[int, int, int, int, int]:
        """(id1, id2, op1, op2, agg) as in the paper's section 3.2.1."""
        return (self.first, self.second, self.first_op, self.second_op, self.aggregation)


@dataclass(frozen=True, slots=True)
class Pyramid:
    """The searched pyramid.

    Pool ids `0 .. num_inputs - 1` are the backbone's features, the last one C5 (four: C2..C5 as the released code;
    three: C3..C5 as the paper's text); block t = 0, 1, ... makes id `num_inputs + t`.
    """

    blocks: tuple[Block, ...]
    num_inputs: int = 4

    def __post_init__(self) -> None:
        if self.num_inputs not in (3, 4):
            raise SpaceError(f"A pyramid reads 3 (C3..C5) or 4 (C2..C5) features, but got {self.num_inputs}.")
        for index, block in enumerate(self.blocks):
            self._check(index, block)
        loose = len(self.unconsumed)
        if loose < NUM_OUTPUTS:
            raise SpaceError(f"At least 3 blocks must be left unconsumed for P3, P4 and P5, but got {loose}.")

    def _check(self, index: int, block: Block) -> None:
        pool = self.num_inputs + index
        limits = (pool, pool, len(UNARY_OPS), len(UNARY_OPS), len(AGGREGATIONS))
        for name, gene, limit in zip(Block.__slots__, block.genes, limits, strict=True):
            if not 0 <= gene < limit:
                raise SpaceError(f"Block {index + 1}: {name} must lie in 0..{limit - 1}, but got {gene}.")

    def __str__(self) -> str:
        return ("c3:" if self.num_inputs == 3 else "") + ":".join(map(str, self.blocks))

    @classmethod
    def parse(cls, text: str) -> "Pyramid":
        """The inverse of `str`: "3,3,4,4,1:4,3,4,3,1:..." (id1,id2,op1,op2,agg of each block), "c3:..." over C3..C5."""
        if "|" in text or "/" in text:
            raise SpaceError(f"A pyramid has the form id1,id2,op1,op2,agg:..., without a head, but got {text!r}.")
        blocks = []
        body = text.removeprefix("c3:")
        for part in body.split(":"):
            genes = _integers(part, text)
            if len(genes) != 5:
                raise SpaceError(f"A block has five numbers id1,id2,op1,op2,agg, but got {part!r}.")
            blocks.append(Block(*genes))
        return cls(tuple(blocks), 4 if body == text else 3)

    @property
    def read(self) -> frozenset[int]:
        """Pool ids that some block reads."""
        return frozenset(i for block in self.blocks for i in (block.first, block.second))

    @property
    def unconsumed(self) -> tuple[int, ...]:
        """Pool ids of the blocks that no later block reads, in order."""
        read = self.read
        return tuple(i for i in range(self.num_inputs, self.num_inputs + len(self.blocks)) if i not in read)

    @property
    def outputs(self) -> dict[int, int]:
        """Level -> pool id. The last three unconsumed blocks, in order, are P5, P4, P3 (so the released code)."""
        fifth, fourth, third = self.unconsumed[-NUM_OUTPUTS:]
        return {3: third, 4: fourth, 5: fifth}

    @property
    def dangling(self) -> tuple[int, ...]:
        """Pool ids of the unconsumed blocks that are no output: added to every output (eq. 1)."""
        return self.unconsumed[:-NUM_OUTPUTS]

    @property
    def strides(self) -> tuple[int, ...]:
        """Stride of every pool id, in image pixels: a block has the finer stride of its two inputs."""
        strides = [32 >> (self.num_inputs - 1 - i) for i in range(self.num_inputs)]
        for block in self.blocks:
            strides.append(min(strides[block.first], strides[block.second]))
        return tuple(strides)

    def without_unread_c2(self) -> "Pyramid":
        """The same pyramid over C3..C5 where no block reads C2, which is then no input at all; else itself."""
        if self.num_inputs == 3 or 0 in self.read:
            return self
        moved = (Block(b.first - 1, b.second - 1, b.first_op, b.second_op, b.aggregation) for b in self.blocks)
        return Pyramid(tuple(moved), num_inputs=3)


@dataclass(frozen=True, slots=True)
class Head:
    """The searched head: one list of operations for the class and the box branch alike (weights apart).

    Layers before `share` have weights of their own for every level, layers from `share` on serve all levels.
    """

    ops: tuple[int, ...]
    share: int = 0

    def __post_init__(self) -> None:
        for index, op in enumerate(self.ops):
            if not 0 <= op < len(HEAD_OPS):
                raise SpaceError(f"Head layer {index + 1} must lie in 0..{len(HEAD_OPS) - 1}, but got {op}.")
        if not 0 <= self.share <= len(self.ops):
            raise SpaceError(f"`0 <= share <= {len(self.ops)}` must hold, but got share={self.share}.")

    def __str__(self) -> str:
        return f"{','.join(map(str, self.ops))}|{self.share}"

    @classmethod
    def parse(cls, text: str) -> "Head":
        """The inverse of `str`: "5,1,5,0,4,4|0" (operations | sharing index)."""
        ops, bar, share = text.partition("|")
        if not bar or "," in share or ":" in ops:
            raise SpaceError(f"A head has the form OPS|SHARE, such as 5,1,5,0,4,4|0, but got {text!r}.")
        (index,) = _integers(share, text)
        return cls(_integers(ops, text), index)


def _integers(part: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in part.split(","))
    except ValueError:
        raise SpaceError(f"Integers separated by commas are expected in {part!r} of {text!r}.") from None


@dataclass(frozen=True, slots=True)
class Decoder:
    """What follows the backbone: a pyramid and a head; None is FCOS's own (FPN; four 3x3 convolutions)."""

    pyramid: Pyramid | None = None
    head: Head | None = None

    def __str__(self) -> str:
        return f"{self.pyramid or ORIGINAL}/{self.head or ORIGINAL}"

    @classmethod
    def parse(cls, text: str) -> "Decoder":
        """The inverse of `str`: PYRAMID/HEAD, each of them possibly "fcos"."""
        pyramid, slash, head = text.partition("/")
        if not slash:
            raise SpaceError(f"A decoder has the form PYRAMID/HEAD, each possibly {ORIGINAL!r}, but got {text!r}.")
        return cls(
            None if pyramid == ORIGINAL else Pyramid.parse(pyramid),
            None if head == ORIGINAL else Head.parse(head),
        )

    @property
    def levels(self) -> tuple[int, ...]:
        """Levels of the backbone's features that the pyramid reads: 2..5 or 3..5."""
        return (3, 4, 5) if self.pyramid is None else tuple(range(6 - self.pyramid.num_inputs, 6))


FCOS_HEAD = Head((1, 1, 1, 1), 0)  # with biases, which the searched heads' convolutions have not
# Figs. 3 and 4, the same lists in every released configuration.
PUBLISHED = Decoder.parse("3,3,4,4,1:3,3,4,4,1:4,3,4,3,1:1,3,4,3,1:5,3,4,4,1:4,7,4,4,1:7,2,4,4,1/5,1,5,0,4,4|0")
