"""What a detector's first stage costs, in closed form: exact integers, with nothing built.

First stage: encoder, output convolutions and RPN heads, as the MSNAS paper counts.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from supernet.cost import Cost, conv_cost, resnet_channels, total
from supernet.errors import SpaceError
from supernet.strides.architecture import Architecture

EXPANSIONS = {"basic": 1, "bottleneck": 4}  # output channels of a block beside its inner ones
STEM_CHANNELS = 64
ANCHORS = 3  # aspect ratios of the anchors at a feature's cell
RESNETS = {
    "resnet18": ("basic", (2, 2, 2, 2)),
    "resnet34": ("basic", (3, 4, 6, 3)),
    "resnet50": ("bottleneck", (3, 4, 6, 3)),
}
BOX_HEADS = {"2conv1fc": 2, "4conv1fc": 4}  # their 3x3 convolutions
ROI_SIZE = 7


def check_input_size(input_size: tuple[int, int], base_stride: int) -> None:
    """Raises SpaceError unless both sides are positive multiples of the coarsest feature stride."""
    unit = 16 * base_stride
    height, width = input_size
    if min(height, width) < 1 or height % unit or width % unit:
        padded = "x".join(str(max(1, -(-side // unit)) * unit) for side in (height, width))
        raise SpaceError(
            f"Height and width of the input must be multiples of {unit} (base_stride {base_stride}), "
            f"but got {height}x{width}; it is padded to {padded}, count at that size."
        )


def stem_cost(base_stride: int, input_size: tuple[int, int], channels: int = STEM_CHANNELS) -> Cost:
    """7x7 convolution of stride 2 with batch norm; the max-pool that base_stride 4 adds costs nothing."""
    return conv_cost(3, channels, 7, input_size[0] * input_size[1] // 4, norm=True)


def block_cost(block: str, inputs: int, channels: int, stride: float, in_pixels: int) -> Cost:
    """A residual block on `in_pixels` positions of `inputs` channels; stride 0.5 doubles the map first."""
    outputs = EXPANSIONS[block] * channels
    read = in_pixels * 4 if stride == 0.5 else in_pixels
    written = read // 4 if stride == 2 else read
    if block == "basic":
        convs = [
            conv_cost(inputs, channels, 3, written, norm=True),
            conv_cost(channels, channels, 3, written, norm=True),
        ]
    else:  # v1.5: the 3x3 convolution strides
        convs = [
            conv_cost(inputs, channels, 1, read, norm=True),
            conv_cost(channels, channels, 3, written, norm=True),
            conv_cost(channels, outputs, 1, written, norm=True),
        ]
    if stride != 1 or inputs != outputs:
        convs.append(conv_cost(inputs, outputs, 1, written, norm=True))  # projection shortcut
    return total(convs)


def rpn_head_cost(channels: int, pixels: int) -> Cost:
    """3x3 convolution, then a score and four deltas for each anchor."""
    return total(
        [
            conv_cost(channels, channels, 3, pixels, bias=True),
            conv_cost(channels, ANCHORS, 1, pixels, bias=True),
            conv_cost(channels, 4 * ANCHORS, 1, pixels, bias=True),
        ]
    )


@dataclass(frozen=True, slots=True)
class PathStart:
    """What a path begins from: a stem, or the stages of a pretrained prefix.

    name: of this part. stride, channels: of the feature that the first block reads. cost: of all before it. finest: the
    finest feature stride that blocks may have. ended: stride and channels of the stages that laterals can read.
    """

    name: str
    stride: int
    channels: int
    cost: Cost
    finest: int
    ended: tuple[tuple[int, int], ...] = ()


def stem_start(base_stride: int, input_size: tuple[int, int], channels: int = STEM_CHANNELS) -> PathStart:
    """The start of a path behind a stem, which is never the source of a lateral."""
    return PathStart("stem", base_stride, channels, stem_cost(base_stride, input_size, channels), base_stride)


def path_parts(
    architecture: Architecture,
    start: PathStart,
    *,
    block: str,
    channels: int,
    base_stride: int = 4,
    input_size: tuple[int, int],
) -> dict[str, Cost]:
    """Every part of one path with its cost, in the order it runs; numbers in names of blocks and groups are 1-based.

    The start's name, "block 3", "lateral 3" (the 1x1 convolution that belongs to block 3), "lateral s16" (that of the
    prefix's stage of stride 16), "output 8" (of stride 8), "rpn 1".
    """
    check_input_size(input_size, base_stride)
    image = input_size[0] * input_size[1]
    width = EXPANSIONS[block] * channels
    parts = {start.name: start.cost}
    inputs, before = start.channels, start.stride
    for index, after in enumerate(architecture.feature_strides(base_stride, start=start.stride)):
        stride = architecture.strides[index]
        parts[f"block {index + 1}"] = block_cost(block, inputs, channels, stride, image // before**2)
        inputs, before = width, after
    ended = dict(start.ended)
    for stage in architecture.stages(base_stride, start=start.stride, ended=ended):
        pixels = image // stage.stride**2
        if stage.prefix:
            parts[f"lateral s{stage.stride}"] = conv_cost(ended[stage.stride], width, 1, pixels, bias=True)
        elif stage.lateral is not None:
            parts[f"lateral {stage.lateral + 1}"] = conv_cost(width, width, 1, pixels, bias=True)
    for head in sorted(set(architecture.heads)):
        parts[f"output {head}"] = conv_cost(width, channels, 3, image // head**2, bias=True)
    for group, head in enumerate(architecture.heads):
        parts[f"rpn {group + 1}"] = rpn_head_cost(channels, image // head**2)
    return parts


def first_stage_parts(
    architecture: Architecture,
    *,
    block: str,
    channels: int,
    base_stride: int = 4,
    stem: int = STEM_CHANNELS,
    input_size: tuple[int, int],
) -> dict[str, Cost]:
    """The `path_parts` behind a stem of `stem` channels."""
    start = stem_start(base_stride, input_size, stem)
    shape = {"block": block, "channels": channels, "base_stride": base_stride, "input_size": input_size}
    return path_parts(architecture, start, **shape)  # type: ignore[arg-type]


def first_stage_cost(architecture: Architecture, **shape: Any) -> Cost:
    """Encoder (stem, blocks, laterals), output convolutions and the five RPN heads of one path.

    shape: what `first_stage_parts` takes.
    """
    return total(first_stage_parts(architecture, **shape).values())


def fpn_cost(
    backbone: str,
    *,
    width: float = 1.0,
    channels: int = 256,
    base_stride: int = 4,
    stem: int = STEM_CHANNELS,
    input_size: tuple[int, int] = (832, 1280),
) -> Cost:
    """First stage of the FPN baseline: ResNet, FPN on C2..C5, P6 by subsampling, one RPN head over P2..P6.

    Convolutions of the FPN have a bias and no norm. base_stride 2: without the max-pool, so that P2 has
    stride 2. stem: channels of the ResNet's stem.
    """
    if backbone not in RESNETS:
        raise SpaceError(f"The baseline's backbone must be one of {', '.join(RESNETS)}, but got {backbone!r}.")
    if min(channels, stem) < 1 or base_stride not in (2, 4):
        got = f"{channels=}, {stem=}, {base_stride=}"
        raise SpaceError(f"channels >= 1, stem >= 1 and base_stride 2 or 4 must hold, but got {got}.")
    check_input_size(input_size, base_stride)
    block, depths = RESNETS[backbone]
    pixels = [input_size[0] * input_size[1] // (base_stride << level) ** 2 for level in range(5)]
    parts = [stem_cost(base_stride, input_size, stem)]
    inputs, before = stem, pixels[0]
    for level, (depth, inner) in enumerate(zip(depths, resnet_channels(width), strict=True)):
        for index in range(depth):
            stride = 2 if index == 0 and level > 0 else 1
            parts.append(block_cost(block, inputs, inner, stride, before))
            inputs, before = EXPANSIONS[block] * inner, pixels[level]
        parts.append(conv_cost(inputs, channels, 1, pixels[level], bias=True))  # lateral
        parts.append(conv_cost(channels, channels, 3, pixels[level], bias=True))  # output
    head = rpn_head_cost(channels, 1)
    parts.append(Cost(head.macs * sum(pixels), head.params))
    return total(parts)


def scale_fpn(
    backbone: str, *, macs: int, base_stride: int = 4, stem: int = STEM_CHANNELS, input_size: tuple[int, int]
) -> tuple[float, int]:
    """The `width` and `channels` of `fpn_cost` that bring the baseline nearest to `macs`.

    Widths are multiples of 1/64 from 1/16 to 4; the FPN's channels, a multiple of 8, stay within an eighth of
    256 * width, so that backbone and FPN shrink together.
    """

    def distance(choice: tuple[float, int]) -> int:
        width, channels = choice
        shape = {"width": width, "channels": channels, "base_stride": base_stride, "stem": stem}
        return abs(fpn_cost(backbone, **shape, input_size=input_size).macs - macs)  # type: ignore[arg-type]

    widths = [step / 64 for step in range(4, 257)]
    return min(
        ((w, c) for w in widths for c in range(8, 1160, 8) if abs(c - 256 * w) <= max(4, 32 * w)),
        key=distance,
    )


def box_head_cost(
    kind: str = "2conv1fc",
    *,
    in_channels: int,
    channels: int = 256,
    fc_channels: int = 1024,
    num_classes: int = 80,
    rois: int = 1000,
) -> Cost:
    """The second stage on `rois` RoIs of 7x7: 3x3 convolutions with BN, a fully connected layer, predictors.

    num_classes: without background. The predictors give num_classes + 1 scores and four deltas for each.
    """
    if kind not in BOX_HEADS:
        raise SpaceError(f"The box head must be one of {', '.join(BOX_HEADS)}, but got {kind!r}.")
    cells = ROI_SIZE**2
    widths = [in_channels] + [channels] * BOX_HEADS[kind]
    parts = [conv_cost(before, after, 3, cells, norm=True) for before, after in pairwise(widths)]
    parts.append(conv_cost(channels * cells, fc_channels, 1, 1, bias=True))
    parts.append(conv_cost(fc_channels, 5 * (num_classes + 1), 1, 1, bias=True))
    one = total(parts)
    return Cost(one.macs * rois, one.params)
