"""What an FPN on any timm backbone costs, in closed form behind the backbone, and the width that meets a budget."""

from collections.abc import Sequence

from supernet.cost import Cost, conv_cost, total
from supernet.errors import SpaceError
from supernet.strides.architecture import NUM_GROUPS, stride_levels
from supernet.strides.first_stage_cost import check_input_size, rpn_head_cost
from supernet.strides.prefix_start import prefix_strides

BASE_STRIDE = 4
TOP = 32  # the coarsest stride of the backbone; stride 64 subsamples its level


def group_strides(heads: Sequence[int] | None, finest: int) -> tuple[int, ...]:
    """The stride that each of the five groups reads; heads None: each the next coarser one, none below `finest`.

    Raises SpaceError where they are no five strides in order, the first of them `finest`.
    """
    levels = tuple(stride for stride in stride_levels(BASE_STRIDE) if stride >= finest)
    read = tuple(max(stride, finest) for stride in stride_levels(BASE_STRIDE)) if heads is None else tuple(heads)
    if len(read) != NUM_GROUPS or not set(read) <= set(levels) or list(read) != sorted(read) or read[0] != finest:
        raise SpaceError(
            f"heads must be {NUM_GROUPS} of the strides {levels}, not decreasing, the first {finest} (finest), "
            f"but got {heads!r}."
        )
    return read


def output_strides(read: Sequence[int]) -> tuple[int, ...]:
    """The levels that need an output convolution where groups read the strides `read`; 64 is that of 32, subsampled."""
    return tuple(sorted({min(stride, TOP) for stride in read}))


def shares_head(heads: Sequence[int] | None, finest: int) -> bool:
    """Whether one RPN head serves all levels, as in an FPN: where each group has a level of its own by default."""
    return heads is None and finest == BASE_STRIDE


def backbone_fpn_cost(
    backbone: str,
    *,
    channels: int = 256,
    finest: int = 4,
    heads: Sequence[int] | None = None,
    norm: bool = False,
    input_size: tuple[int, int] = (832, 1280),
) -> Cost:
    """First stage of a `BackboneFpnEncoder` with its RPN heads, the backbone included."""
    from supernet.strides.prefix_backbone import prefix_cost  # torch

    check_input_size(input_size, BASE_STRIDE)
    body, widths = prefix_cost(backbone, prefix_strides(TOP, finest), input_size)
    return body + _pyramid_cost(widths, channels, finest, heads, norm, input_size)


def _pyramid_cost(
    widths: Sequence[int],
    channels: int,
    finest: int,
    heads: Sequence[int] | None,
    norm: bool,
    input_size: tuple[int, int],
) -> Cost:
    """All behind the backbone. widths: its channels by stride, finest first."""
    if channels < 1:
        raise SpaceError(f"channels >= 1 must hold for an FPN, but got {channels=}.")
    read, image = group_strides(heads, finest), input_size[0] * input_size[1]
    strides = prefix_strides(TOP, finest)
    convs = [(width, 1, stride) for width, stride in zip(widths, strides, strict=True)]
    convs += [(channels, 3, stride) for stride in output_strides(read)]
    parts = [conv_cost(w, channels, kernel, image // s**2, bias=not norm, norm=norm) for w, kernel, s in convs]
    rpn = [rpn_head_cost(channels, image // stride**2) for stride in read]
    if shares_head(heads, finest):
        return total(parts) + Cost(sum(head.macs for head in rpn), rpn[0].params)
    return total([*parts, *rpn])


def scale_backbone_fpn(
    backbone: str,
    *,
    macs: int,
    finest: int = 4,
    heads: Sequence[int] | None = None,
    norm: bool = False,
    input_size: tuple[int, int],
) -> int:
    """The `channels` of `backbone_fpn_cost` that bring it nearest to `macs`, the backbone's included."""
    from supernet.strides.prefix_backbone import prefix_cost  # torch

    body, widths = prefix_cost(backbone, prefix_strides(TOP, finest), input_size)

    def distance(channels: int) -> int:
        return abs(body.macs + _pyramid_cost(widths, channels, finest, heads, norm, input_size).macs - macs)

    return min(range(1, 1025), key=distance)
