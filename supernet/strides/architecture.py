"""One network of the MSNAS space as a value: block strides, head strides, its text, its stages.

"Multi-scale Network Architecture Search for Object Detection", sections 3.1 and 3.2.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from supernet.errors import SpaceError

BLOCK_STRIDES: tuple[float, ...] = (0.5, 1, 2)
NUM_GROUPS = 5  # groups of object sizes, each with its own detection head
NUM_LEVELS = 5  # feature strides that a block may have: base_stride times 1, 2, 4, 8, 16

_NUMBER = re.compile(r"[ \t]*([0-9]{1,30}(?:\.[0-9]{1,30})?)[ \t]*")


@dataclass(frozen=True, slots=True)
class Stage:
    """A maximal run of blocks of one feature stride that starts at a stride != 1, or at the first block.

    first, last: 0-based block indices, inclusive. stride: the feature stride of all of its blocks. lateral:
    the last block of the nearest earlier stage of the same feature stride, whose output is added to this
    stage's; or None. prefix: whether that stage is one of a pretrained prefix, which has no block of ours.
    """

    first: int
    last: int
    stride: int
    lateral: int | None
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class Architecture:
    """Strides of the blocks, each 0.5, 1 or 2, and the feature strides that the heads read, finest first.

    Immutable, hashable, comparable. Construction holds what is true of any such network; the rules of a space
    (depth, feature strides, heads) are `StrideSpace.validate`. Raises SpaceError.
    """

    strides: tuple[float, ...]
    heads: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "strides", tuple(_block_stride(i, s) for i, s in enumerate(self.strides)))
        object.__setattr__(self, "heads", tuple(_head_stride(i, s) for i, s in enumerate(self.heads)))
        if not self.strides:
            raise SpaceError("An architecture has at least one block, but got none.")
        if len(self.heads) != NUM_GROUPS:
            raise SpaceError(f"An architecture has {NUM_GROUPS} heads, but got {len(self.heads)}: {self.heads}.")

    def __str__(self) -> str:
        return f"{','.join(map(str, self.strides))}|{','.join(map(str, self.heads))}"

    @classmethod
    def parse(cls, text: str) -> "Architecture":
        """The architecture written as "1,2,0.5|8,8,16,16,32".

        Blanks around numbers, "1.0" and "0.50" are understood. Raises SpaceError where the text is anything
        else.
        """
        if not isinstance(text, str):
            raise SpaceError(f"An architecture is written as text such as '1,2|4,4,4,8,8', but got {_short(text)}.")
        parts = text.split("|")
        if len(parts) != 2:
            raise SpaceError(
                f"An architecture is BLOCKS|HEADS with exactly one bar, such as '1,2|4,4,4,8,8', "
                f"but got {len(parts) - 1} bars in {_short(text)}."
            )
        strides = [_number(token, f"Block {i + 1}", text) for i, token in enumerate(parts[0].split(","))]
        heads = [_number(token, f"Head {i + 1}", text) for i, token in enumerate(parts[1].split(","))]
        return cls(tuple(strides), tuple(heads))  # type: ignore[arg-type]  # exact decimals, made plain there

    def feature_strides(self, base_stride: int = 4, *, start: int | None = None) -> tuple[int, ...]:
        """The feature stride of every block's output, in input pixels.

        start: the stride that the first block reads; None: base_stride, behind a stem. Raises SpaceError naming the
        first block that leaves base_stride .. 16 * base_stride.
        """
        strides, current = [], start or base_stride
        coarsest = base_stride << (NUM_LEVELS - 1)
        for index, stride in enumerate(self.strides):
            if not base_stride <= current * stride <= coarsest:
                read = "" if index else f", {'the prefix' if start else 'the stem'}'s output,"
                raise SpaceError(
                    f"Block {index + 1}: feature strides must lie in {base_stride}..{coarsest}, "
                    f"but stride {stride} after feature stride {current}{read} gives {current * stride:g}."
                )
            current = int(current * stride)
            strides.append(current)
        return tuple(strides)

    def stages(
        self, base_stride: int = 4, *, start: int | None = None, ended: Collection[int] = ()
    ) -> tuple[Stage, ...]:
        """The stages in order, each with the source of its lateral connection (eq. 4-6).

        start: as in `feature_strides`. ended: the strides at which stages of a prefix ended, laterals too.
        """
        strides = self.feature_strides(base_stride, start=start)
        starts = [0, *(i for i, stride in enumerate(self.strides) if i > 0 and stride != 1), len(strides)]
        last: dict[int, int] = {}  # feature stride -> last block of the latest stage that ended there
        stages = []
        for first, after in pairwise(starts):
            stride = strides[first]
            began_there = first == 0 and self.strides[0] == 1  # a stage adds no lateral of what it began from
            prefix = stride in ended and stride not in last and not began_there
            stages.append(Stage(first, after - 1, stride, last.get(stride), prefix))
            last[stride] = after - 1
        return tuple(stages)

    def feature_blocks(self, base_stride: int = 4, *, start: int | None = None) -> dict[int, int]:
        """Feature stride -> the 0-based block whose output (lateral added) is the feature of that stride."""
        return {stage.stride: stage.last for stage in self.stages(base_stride, start=start)}

    def live(self, base_stride: int = 4, *, start: int | None = None) -> "Architecture":
        """This network without its dead blocks: those behind the last stage that a head reads.

        They influence nothing. The lateral connections of their stages go with them, also those of earlier blocks.
        """
        blocks = self.feature_blocks(base_stride, start=start)
        read = max((block for stride, block in blocks.items() if stride in self.heads), default=len(self.strides) - 1)
        return Architecture(self.strides[: read + 1], self.heads)


def _block_stride(index: int, stride: object) -> float:
    for known in BLOCK_STRIDES:
        if stride == known and not isinstance(stride, bool):
            return known
    raise SpaceError(f"Block {index + 1}: the stride must be 0.5, 1 or 2, but got {_short(stride)}.")


def _head_stride(index: int, stride: object) -> int:
    try:
        whole = int(stride)  # type: ignore[call-overload]
    except (TypeError, ValueError, OverflowError):
        whole = 0
    if whole < 1 or whole != stride or isinstance(stride, bool):
        raise SpaceError(f"Head {index + 1}: the stride must be a positive integer, but got {_short(stride)}.")
    return int(whole)


def _number(token: str, where: str, text: str) -> Decimal:
    match = _NUMBER.fullmatch(token)
    if not match:
        raise SpaceError(
            f"{where}: a plain number must stand between commas, but got {_short(token)} in {_short(text)}."
        )
    return Decimal(match[1])


def _short(value: object) -> str:
    text = str(value) if isinstance(value, Decimal) else repr(value)
    return text if len(text) <= 80 else f"{text[:60]}... ({len(text)} characters)"


def stride_levels(base_stride: int) -> tuple[int, ...]:
    """The five feature strides that blocks may have and heads may read, finest first."""
    return tuple(base_stride << level for level in range(NUM_LEVELS))
