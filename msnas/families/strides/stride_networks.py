"""From a searched architecture, or the FPN baseline, to the diagram that is drawn.

Costs are those of `supernet.cost`, part by part.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Protocol

from msnas.drawings.diagram import STEM, Diagram, Head, Node, object_sizes
from msnas.drawings.palette import DASH, TIMES
from supernet.cost import Cost, conv_cost, resnet_channels
from supernet.strides.architecture import Architecture, Stage, stride_levels
from supernet.strides.first_stage_cost import (
    EXPANSIONS,
    RESNETS,
    STEM_CHANNELS,
    block_cost,
    first_stage_parts,
    fpn_cost,
    rpn_head_cost,
    stem_cost,
)
from supernet.strides.prefix_space import PrefixSpace
from supernet.strides.stride_space import StrideSpace

# What the paper counts at, and the images that it stands for.
PAPER_INPUT, PAPER_SHORT_SIDE, PAPER_BASE_SCALE = (832, 1280), 800, 224


@dataclass(frozen=True, slots=True)
class Fpn:
    """The baseline: a ResNet of a name and a width under an FPN of `channels` channels."""

    backbone: str = "resnet18"
    width: float = 1.0
    channels: int = 256


class Space(Protocol):
    """What a drawing needs to know of a stride space."""

    block: str
    channels: int
    base_stride: int
    input_size: tuple[int, int]


def diagram_of(item: Architecture | Fpn, space: Space, *, title: str, base_scale: float | None = None) -> Diagram:
    """The diagram of one network at the space's input size. Raises SpaceError where the space does not hold it.

    base_scale: side in pixels of an object of k = 4, which the heads' sizes follow; None: by the input's short side,
    and the paper's 224 at its 832x1280.
    """
    if base_scale is None:
        short_side = PAPER_SHORT_SIDE if space.input_size == PAPER_INPUT else min(space.input_size)
        base_scale = PAPER_BASE_SCALE * short_side / PAPER_SHORT_SIDE
    if isinstance(item, Fpn):
        return _fpn_diagram(item, space, title, base_scale)
    return _path_diagram(item, space, title, base_scale)


def _path_diagram(architecture: Architecture, space: Space, title: str, base_scale: float) -> Diagram:
    base = space.base_stride
    start, ended, parts = _start_of(space, architecture)
    macs = {name: cost.macs for name, cost in parts.items()}
    first = next(iter(macs))  # the stem, or the prefix as one box
    nodes = [Node(first, 0, STEM, start or base, macs[first])]
    for i, stride in enumerate(architecture.feature_strides(base, start=start), start=1):
        own = macs[f"block {i}"] + macs.get(f"lateral {i}", 0)  # a lateral belongs to its source
        nodes.append(Node(str(i), i, float(architecture.strides[i - 1]), stride, own))
    stages = architecture.stages(base, start=start, ended=ended)
    sources = [(0 if stage.prefix else stage.lateral + 1, stage) for stage in stages if _adds(stage)]  # type: ignore[operator]
    sizes = object_sizes(len(architecture.heads), base_scale)
    return Diagram(
        title=title,
        subtitle=f"{architecture}     {space.block} blocks, {space.channels} channels, input {_size(space)}",
        nodes=tuple(nodes),
        path=tuple(pairwise(range(len(nodes)))),
        laterals=tuple((source, stage.last + 1) for source, stage in sources),
        stages=tuple((stage.first + 1, stage.last + 1) for stage in stages),
        features={stride: block + 1 for stride, block in architecture.feature_blocks(base, start=start).items()},
        heads=tuple(Head(f"Head {i + 1}", sizes[i], i + 1, s) for i, s in enumerate(architecture.heads)),
        extras={
            "output convs": sum(value for name, value in macs.items() if name.startswith("output ")),
            "RPN heads": sum(value for name, value in macs.items() if name.startswith("rpn ")),
            **_prefix_laterals(macs),
        },
        strides=stride_levels(base),
        input_size=space.input_size,
    )


def _start_of(space: Space, architecture: Architecture) -> tuple[int | None, tuple[int, ...], dict[str, Cost]]:
    """Where a path begins (None: behind a stem), the strides at which a prefix's stages ended, and its parts' costs."""
    if isinstance(space, PrefixSpace):
        return space.start.stride, tuple(stride for stride, _ in space.start.ended), space.parts(architecture)
    if isinstance(space, StrideSpace):
        return None, (), space.parts(architecture)
    shape = {"block": space.block, "channels": space.channels, "base_stride": space.base_stride}
    return None, (), first_stage_parts(architecture, **shape, input_size=space.input_size)  # type: ignore[arg-type]


def _adds(stage: Stage) -> bool:
    return stage.prefix or stage.lateral is not None


def _prefix_laterals(macs: dict[str, int]) -> dict[str, int]:
    """The laterals that start in a prefix, which no block owns."""
    own = sum(value for name, value in macs.items() if name.startswith("lateral s"))
    return {"laterals of the prefix": own} if own else {}


def _fpn_diagram(fpn: Fpn, space: Space, title: str, base_scale: float) -> Diagram:
    """C1..C5 down, P5..P2 up again, P6 below P5; the lateral arcs are the 1x1 convolutions from C to P."""
    strides = stride_levels(space.base_stride)
    pixels = [space.input_size[0] * space.input_size[1] // stride**2 for stride in strides]
    nodes = _backbone_nodes(fpn, space, strides, pixels)
    depths = RESNETS[fpn.backbone][1]
    ends = list(accumulate(depths))  # index of the last block of C2..C5
    path = list(pairwise(range(len(nodes))))
    expansion = EXPANSIONS[RESNETS[fpn.backbone][0]]
    widths = [expansion * inner for inner in resnet_channels(fpn.width)]
    above, features, laterals = len(nodes) - 1, {}, []
    for level in reversed(range(4)):
        macs = conv_cost(widths[level], fpn.channels, 1, pixels[level]).macs
        nodes.append(Node(f"P{level + 2}", len(nodes), 1.0 if level == 3 else 0.5, strides[level], macs))
        path.append((above, len(nodes) - 1))
        if level < 3:
            laterals.append((ends[level], len(nodes) - 1))
        above = features[strides[level]] = len(nodes) - 1
    top = features[strides[3]]
    nodes.append(Node("", nodes[top].column, 2.0, strides[4], 0))  # P6: P5 subsampled, no MACs
    features[strides[4]] = len(nodes) - 1
    diagram = Diagram(
        title=title,
        subtitle=f"{fpn.backbone} {TIMES} {fpn.width:g}, {fpn.channels} channels, input {_size(space)}",
        nodes=tuple(nodes),
        path=(*path, (top, len(nodes) - 1)),
        laterals=tuple(laterals),
        stages=tuple((end - depth + 1, end) for end, depth in zip(ends, depths, strict=True)),
        features=features,
        heads=_fpn_heads(strides, base_scale),
        extras={
            "output convs": conv_cost(fpn.channels, fpn.channels, 3, sum(pixels[:4])).macs,
            "RPN head": rpn_head_cost(fpn.channels, sum(pixels)).macs,
        },
        strides=strides,
        input_size=space.input_size,
    )
    counted = fpn_cost(
        fpn.backbone,
        width=fpn.width,
        channels=fpn.channels,
        base_stride=space.base_stride,
        input_size=space.input_size,
    )
    assert diagram.macs == counted.macs, "the drawn parts and the counted ones are not the same"
    return diagram


def _backbone_nodes(fpn: Fpn, space: Space, strides: Sequence[int], pixels: Sequence[int]) -> list[Node]:
    block, depths = RESNETS[fpn.backbone]
    nodes = [Node("stem", 0, STEM, strides[0], stem_cost(space.base_stride, space.input_size).macs)]
    inputs, before = STEM_CHANNELS, pixels[0]
    for level, (depth, inner) in enumerate(zip(depths, resnet_channels(fpn.width), strict=True)):
        for index in range(depth):
            stride = 2.0 if index == 0 and level > 0 else 1.0
            macs = block_cost(block, inputs, inner, stride, before).macs
            name = f"C{level + 2}" if index == depth - 1 else ""
            nodes.append(Node(name, len(nodes), stride, strides[level], macs))
            inputs, before = EXPANSIONS[block] * inner, pixels[level]
    return nodes


def _fpn_heads(strides: Sequence[int], base_scale: float) -> tuple[Head, ...]:
    """RoIs are clamped to P2..P5 (k = 2..5): P2 also gets the smallest group, P6 serves proposals alone."""
    sizes = object_sizes(5, base_scale)
    words = (f"< {sizes[1].split(DASH)[1]}", *sizes[2:], "proposals only")
    return tuple(Head(f"P{i + 2}", words[i], i + 1, stride) for i, stride in enumerate(strides))


def _size(space: Space) -> str:
    return f"{space.input_size[0]} {TIMES} {space.input_size[1]}"
