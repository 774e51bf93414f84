"""The rules of a stride space in words: which settings make a space, which rule an architecture breaks."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

from supernet.errors import SpaceError
from supernet.strides.architecture import NUM_GROUPS, Architecture, stride_levels
from supernet.strides.first_stage_cost import EXPANSIONS, PathStart, check_input_size

MAX_DEPTH, MAX_CHANNELS, MAX_SIDE = 38, 4096, 16384  # keep counts and costs below 2**63


@dataclass(frozen=True, kw_only=True)
class StrideRules:
    """What every stride space is made of, whatever its paths begin from; fields are checked (SpaceError).

    They are the arguments of `StrideSpace`, which says what each means.
    """

    block: str
    depth: int
    channels: int
    base_stride: int
    head_rules: bool
    live: bool
    tied: Sequence[int] | None
    heads: Sequence[int] | None
    input_size: Sequence[int]

    def __post_init__(self) -> None:
        if self.block not in EXPANSIONS:
            raise SpaceError(f"block must be one of {', '.join(EXPANSIONS)}, but got {self.block!r}.")
        if not _is_integer(self.depth) or not 1 <= self.depth <= MAX_DEPTH:
            raise SpaceError(f"depth must be an integer in 1..{MAX_DEPTH}, but got {self.depth!r}.")
        check_channels("channels", self.channels)
        if not _is_integer(self.base_stride) or self.base_stride not in (2, 4):
            raise SpaceError(f"base_stride must be 4 (as published) or 2 (small images), but got {self.base_stride!r}.")
        for name in ("head_rules", "live"):
            if not isinstance(getattr(self, name), bool):
                raise SpaceError(f"{name} must be true or false, but got {getattr(self, name)!r}.")
        tied = () if self.tied is None else self.tied
        if not isinstance(tied, list | tuple) or [*tied] != [head for head in range(2, NUM_GROUPS + 1) if head in tied]:
            raise SpaceError(
                f"tied must be numbers of heads in 2..{NUM_GROUPS}, rising, such as [5], but got {tied!r}."
            )
        self._check_input_size()
        if self.heads is not None:
            check_heads(self.heads, self.base_stride, head_rules=self.head_rules)

    def _check_input_size(self) -> None:
        sides = tuple(self.input_size) if isinstance(self.input_size, list | tuple) else ()
        if len(sides) != 2 or not all(_is_integer(side) and side <= MAX_SIDE for side in sides):
            rule = f"input_size must be (height, width), integers up to {MAX_SIDE}"
            raise SpaceError(f"{rule}, but got {self.input_size!r}.")
        check_input_size((sides[0], sides[1]), self.base_stride)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return int(self.input_size[0]), int(self.input_size[1])

    @property
    def config(self) -> dict[str, Any]:
        """The fields as JSON."""
        return {
            "block": self.block,
            "depth": int(self.depth),
            "channels": int(self.channels),
            "base_stride": int(self.base_stride),
            "head_rules": self.head_rules,
            "live": self.live,
            "tied": [int(head) for head in self.tied or ()],
            "heads": None if self.heads is None else [int(stride) for stride in self.heads],
            "input_size": list(self.size),
        }


def check_channels(name: str, channels: int) -> None:
    """Raises SpaceError unless `channels` is a number of channels."""
    if not _is_integer(channels) or not 1 <= channels <= MAX_CHANNELS:
        raise SpaceError(f"{name} must be an integer in 1..{MAX_CHANNELS}, but got {channels!r}.")


def check_heads(heads: Sequence[int], base_stride: int, *, head_rules: bool) -> None:
    """Raises SpaceError naming the first head that breaks a rule of eq. 7, whatever the encoder.

    head_rules: whether the bounds on the finest and the coarsest head hold too; the order always does.
    """
    levels = stride_levels(base_stride)
    if not isinstance(heads, list | tuple) or len(heads) != NUM_GROUPS:
        raise SpaceError(f"There must be {NUM_GROUPS} heads, but got {heads!r}.")
    for index, stride in enumerate(heads):
        if stride not in levels:
            raise SpaceError(f"Head {index + 1}: the stride must be one of {levels}, but got {stride}.")
        if index and stride < heads[index - 1]:
            raise SpaceError(
                f"Head {index + 1}: strides must not decrease from head to head, "
                f"but got {stride} after {heads[index - 1]}."
            )
    if head_rules and (broken := broken_bound(heads, base_stride)):
        raise SpaceError(broken)


def broken_bound(heads: Sequence[int], base_stride: int) -> str | None:
    """Which of eq. 7's bounds heads in order break, in a sentence; None where they keep them."""
    finest, coarsest, bound = heads[0], heads[-1], 2 * base_stride
    if finest > bound:
        return f"Head 1: the finest stride must be <= {bound}, but got {finest}."
    if coarsest < bound:
        return f"Head {NUM_GROUPS}: the coarsest stride must be >= {bound}, but got {coarsest}."
    if finest == coarsest:
        return f"Heads 1 to {NUM_GROUPS}: not all may read one stride, but got {finest} for each."
    return None


def check_architecture(
    architecture: Architecture,
    start: PathStart,
    rules: StrideRules,
) -> None:
    """Raises SpaceError naming the first block or head that breaks a rule, and the rule."""
    check_depth(architecture, rules.depth)
    strides = architecture.feature_strides(rules.base_stride, start=start.stride if start.ended else None)
    for index, stride in enumerate(strides):
        if stride < start.finest:
            raise SpaceError(
                f"Block {index + 1}: the finest feature stride of this space is {start.finest}, but got {stride}."
            )
    produced = set(strides)
    check_heads(architecture.heads, rules.base_stride, head_rules=rules.head_rules)
    fixed = None if rules.heads is None else tuple(rules.heads)
    for index, stride in enumerate(architecture.heads):
        if fixed is not None and stride != fixed[index]:
            raise SpaceError(f"Head {index + 1}: the heads of this space are fixed to {fixed}, but got {stride}.")
        if stride not in produced:
            raise SpaceError(
                f"Head {index + 1}: some block must produce the stride that it reads, "
                f"but got {stride} where the encoder has {', '.join(map(str, sorted(produced)))}."
            )
    for head in rules.tied or ():
        read, before = architecture.heads[head - 1], architecture.heads[head - 2]
        if read != before:
            raise SpaceError(
                f"Head {head}: it must read what head {head - 1} reads (the rule `tied`), "
                f"but got {read} after {before}."
            )
    if rules.live and strides[-1] not in architecture.heads:
        raise SpaceError(
            f"Block {rules.depth}: a head must read the stride of the last block (the rule `live`), "
            f"but block {rules.depth} ends at stride {strides[-1]}, which no head reads."
        )


def check_depth(architecture: Architecture, depth: int) -> None:
    """Raises SpaceError unless the architecture has `depth` blocks."""
    if len(architecture.strides) != depth:
        raise SpaceError(
            f"An architecture of this space has {depth} blocks, but got {len(architecture.strides)}: {architecture}."
        )


def _is_integer(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)
