"""From a searched architecture, or the FPN baseline, to the diagram that is drawn.

Costs are those of `supernet.cost`, part by part.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Protocol

from msnas.data.size_groups import SizeGroups
from msnas.drawings.diagram import STEM, Diagram, Head, Node, object_sizes
from msnas.drawings.palette import DASH, TIMES
from supernet.cost import conv_cost, resnet_channels
from supernet.strides.architecture import Architecture, Stage, stride_levels
from supernet.strides.dead_parts import dead_parts
from supernet.strides.first_stage_cost import (
    EXPANSIONS,
    RESNETS,
    PathStart,
    block_cost,
    fpn_cost,
    path_parts,
    rpn_head_cost,
    stem_cost,
    stem_start,
)
from supernet.strides.stride_space import StrideSpace

# What the paper counts at, and the images that it stands for.
PAPER_INPUT, PAPER_SHORT_SIDE = (832, 1280), 800


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
    stem: int
    input_size: tuple[int, int]


def diagram_of(
    item: Architecture | Fpn, space: Space, *, title: str, borders: Sequence[float] | None = None
) -> Diagram:
    """The diagram of one network at the space's input size. Raises SpaceError where the space does not hold it.

    borders: between the groups of object sizes, pixels; None: the paper's, by the input's short side.
    """
    if borders is None:
        short_side = PAPER_SHORT_SIDE if space.input_size == PAPER_INPUT else min(space.input_size)
        borders = SizeGroups.paper(short_side).borders
    if isinstance(item, Fpn):
        return _fpn_diagram(item, space, title, borders)
    return _path_diagram(item, space, title, borders)


def _path_diagram(architecture: Architecture, space: Space, title: str, borders: Sequence[float]) -> Diagram:
    base, start = space.base_stride, _start_of(space)
    shape = {name: getattr(space, name) for name in ("block", "channels", "base_stride", "input_size")}
    macs = {name: cost.macs for name, cost in path_parts(architecture, start, **shape).items()}
    dead = {name: cost.macs for name, cost in dead_parts(architecture, start, **shape).items()}
    nodes = [Node(start.name, 0, STEM, start.stride, start.cost.macs)]  # the stem, or the prefix as one box
    for i, stride in enumerate(architecture.feature_strides(base, start=start.stride), start=1):
        nodes.append(Node(str(i), i, float(architecture.strides[i - 1]), stride, _block_macs(macs, i)))
    stages = architecture.stages(base, start=start.stride, ended=dict(start.ended))
    sources = [(0 if stage.prefix else stage.lateral + 1, stage) for stage in stages if _adds(stage)]  # type: ignore[operator]
    sizes = object_sizes(borders)
    return Diagram(
        title=title,
        subtitle=f"{architecture}     {space.block} blocks, {space.channels} channels, input {_size(space)}",
        nodes=tuple(nodes),
        path=tuple(pairwise(range(len(nodes)))),
        laterals=tuple((source, stage.last + 1) for source, stage in sources),
        stages=tuple((stage.first + 1, stage.last + 1) for stage in stages),
        features={s: block + 1 for s, block in architecture.feature_blocks(base, start=start.stride).items()},
        heads=tuple(Head(f"Head {i + 1}", sizes[i], i + 1, s) for i, s in enumerate(architecture.heads)),
        extras={
            "output convs": sum(value for name, value in macs.items() if name.startswith("output ")),
            "RPN heads": sum(value for name, value in macs.items() if name.startswith("rpn ")),
            **_prefix_laterals(macs),
        },
        strides=stride_levels(base),
        input_size=space.input_size,
        dead={node.column: _block_macs(dead, node.column) for node in nodes[1:]} | _prefix_laterals(dead),
    )


def _start_of(space: Space) -> PathStart:
    """What its paths begin from."""
    if isinstance(space, StrideSpace):
        return space.start
    return stem_start(space.base_stride, space.input_size, space.stem)


def _block_macs(macs: dict[str, int], number: int) -> int:
    """Of a block, and of the lateral that starts at it: each belongs to its source."""
    return macs.get(f"block {number}", 0) + macs.get(f"lateral {number}", 0)


def _adds(stage: Stage) -> bool:
    return stage.prefix or stage.lateral is not None


def _prefix_laterals(macs: dict[str, int]) -> dict[str, int]:
    """The laterals that start in a prefix, which no block owns."""
    own = sum(value for name, value in macs.items() if name.startswith("lateral s"))
    return {"prefix laterals": own} if own else {}


def _fpn_diagram(fpn: Fpn, space: Space, title: str, borders: Sequence[float]) -> Diagram:
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
        heads=_fpn_heads(strides, borders),
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
        stem=space.stem,
        input_size=space.input_size,
    )
    assert diagram.macs == counted.macs, "the drawn parts and the counted ones are not the same"
    return diagram


def _backbone_nodes(fpn: Fpn, space: Space, strides: Sequence[int], pixels: Sequence[int]) -> list[Node]:
    block, depths = RESNETS[fpn.backbone]
    nodes = [Node("stem", 0, STEM, strides[0], stem_cost(space.base_stride, space.input_size, space.stem).macs)]
    inputs, before = space.stem, pixels[0]
    for level, (depth, inner) in enumerate(zip(depths, resnet_channels(fpn.width), strict=True)):
        for index in range(depth):
            stride = 2.0 if index == 0 and level > 0 else 1.0
            macs = block_cost(block, inputs, inner, stride, before).macs
            name = f"C{level + 2}" if index == depth - 1 else ""
            nodes.append(Node(name, len(nodes), stride, strides[level], macs))
            inputs, before = EXPANSIONS[block] * inner, pixels[level]
    return nodes


def _fpn_heads(strides: Sequence[int], borders: Sequence[float]) -> tuple[Head, ...]:
    """RoIs are clamped to P2..P5 (k = 2..5): P2 also gets the smallest group, P6 serves proposals alone."""
    sizes = object_sizes(borders)
    words = (f"< {sizes[1].split(DASH)[1]}", *sizes[2:], "proposals only")
    return tuple(Head(f"P{i + 2}", words[i], i + 1, stride) for i, stride in enumerate(strides))


def _size(space: Space) -> str:
    return f"{space.input_size[0]} {TIMES} {space.input_size[1]}"
