"""What a RetinaNet with a NAS-FPN or FPN neck costs: exact multiply-accumulates and parameters, closed form.

Convolutions only, as everywhere; the backbone alone is counted on its built module. Equal to a count on the
whole built detector, by test. Torch is imported when a backbone's cost is asked for.
"""

from collections.abc import Sequence
from typing import Any

from supernet.cost import Cost, total
from supernet.errors import SpaceError
from supernet.nas_fpn.pyramid_plan import PyramidPlan

ANCHORS = 9  # 3 scales x 3 ratios a position
HEAD_DEPTH = 4  # 3x3 convolutions before the prediction, in the class and in the box tower


def cell_cost(level: int, *, channels: int, input_size: tuple[int, int], stacks: int = 1, lite: bool = False) -> Cost:
    """The R-C-B of a merging cell at `level` in every stack; merging itself costs nothing."""
    one = _conv(3, channels, channels, _pixels(input_size, level), lite=lite, norms=1)
    return Cost(stacks * one.macs, stacks * one.params)


def fixed_cost(
    levels: Sequence[int],
    *,
    backbone: str,
    channels: int,
    input_size: tuple[int, int],
    num_classes: int,
    width: float = 1.0,
    lite: bool = False,
    exits: int = 1,
    extra_convs: bool = False,
) -> Cost:
    """Everything but the cells: backbone, projections of the backbone's features, and a RetinaNet head an exit.

    extra_convs: a 1x1 before each pooling to a level that the backbone has not.
    """
    body, features = _backbone(backbone, levels, input_size, width)
    head = head_cost(levels, channels=channels, input_size=input_size, num_classes=num_classes, lite=lite)
    projections = [
        _conv(1, inputs, channels, _pixels(input_size, level), norms=1)
        for level, inputs in zip(feature_levels(levels), features, strict=True)
    ]
    pooled = levels[len(projections) - 1 : -1] if extra_convs else ()  # the levels that are pooled
    projections += [_conv(1, channels, channels, _pixels(input_size, level), norms=1) for level in pooled]
    return total([body, *projections, Cost(exits * head.macs, exits * head.params)])


def nas_fpn_cost(
    plan: PyramidPlan,
    *,
    channels: int,
    input_size: tuple[int, int],
    stacks: int,
    lite: bool = False,
    **fixed: Any,
) -> Cost:
    """A RetinaNet with `stacks` copies of `plan`; `fixed`: what else `fixed_cost` takes."""
    shape: dict[str, Any] = {"channels": channels, "input_size": input_size, "lite": lite}
    cells = [cell_cost(cell.level, stacks=stacks, **shape) for cell in plan.cells]
    return total([fixed_cost(plan.levels, **shape, **fixed), *cells])


def exit_macs(plan: PyramidPlan, *, stacks: int, **shape: Any) -> dict[int, int]:
    """What detecting costs that stops after 1, 2, ..., `stacks` pyramids; `shape`: what else `nas_fpn_cost` takes."""
    return {number: nas_fpn_cost(plan, stacks=number, **shape).macs for number in range(1, stacks + 1)}


def fpn_level_cost(
    levels: Sequence[int],
    *,
    backbone: str,
    channels: int,
    input_size: tuple[int, int],
    num_classes: int,
    stacks: int = 1,
    width: float = 1.0,
    lite: bool = False,
) -> Cost:
    """A RetinaNet with `stacks` standard FPNs, each with a norm at every level."""
    body, features = _backbone(backbone, levels, input_size, width)
    head = head_cost(levels, channels=channels, input_size=input_size, num_classes=num_classes, lite=lite)
    inputs = [features, *[(channels,) * len(levels)] * (stacks - 1)]
    return total([body, head, *(_fpn_cost(levels, widths, channels, input_size, lite=lite) for widths in inputs)])


def _fpn_cost(
    levels: Sequence[int], in_channels: Sequence[int], channels: int, input_size: tuple[int, int], *, lite: bool
) -> Cost:
    """A lateral for every input, and a 3x3 with its norm at every level: those beyond the inputs are strided."""
    laterals = [
        _conv(1, width, channels, _pixels(input_size, n)) for n, width in zip(levels, in_channels, strict=False)
    ]
    outputs = [_conv(3, channels, channels, _pixels(input_size, level), lite=lite, norms=1) for level in levels]
    return total([*laterals, *outputs])


def head_cost(
    levels: Sequence[int], *, channels: int, input_size: tuple[int, int], num_classes: int, lite: bool = False
) -> Cost:
    """Class and box towers, shared by the levels but for their norms, and the two predictions."""
    pixels = sum(_pixels(input_size, level) for level in levels)
    layer = _conv(3, channels, channels, pixels, lite=lite, norms=len(levels))
    predictions = [_conv(3, channels, ANCHORS * out, pixels, lite=lite) for out in (num_classes, 4)]
    return total([*predictions, *[layer] * (2 * HEAD_DEPTH)])


def feature_levels(levels: Sequence[int]) -> tuple[int, ...]:
    """Levels of the backbone that a pyramid of `levels` reads: 3, 4 and 5, as far as it has them."""
    return tuple(level for level in levels if level <= 5)


def check_levels_fit(input_size: tuple[int, int], top_level: int) -> None:
    """Raise SpaceError unless both sides are multiples of the coarsest level's stride, as a detector pads them."""
    stride, (height, width) = 1 << top_level, input_size
    if min(height, width) < 1 or height % stride or width % stride:
        padded = "x".join(str(max(1, -(-side // stride)) * stride) for side in (height, width))
        raise SpaceError(
            f"Height and width of the input must be multiples of {stride}, the stride of P{top_level}, "
            f"but got {height}x{width}; it is padded to {padded}, count at that size."
        )


def _backbone(
    name: str, levels: Sequence[int], input_size: tuple[int, int], width: float
) -> tuple[Cost, tuple[int, ...]]:
    from supernet.backbone import backbone_cost  # torch

    return backbone_cost(name, feature_levels(levels), input_size, width)


def _conv(size: int, fan_in: int, out: int, pixels: int, *, lite: bool = False, norms: int = 0) -> Cost:
    """A convolution with bias and `norms` batch norms behind it; `lite`: depthwise (no bias), then 1x1."""
    weights = size * size * fan_in + fan_in * out if lite else size * size * fan_in * out
    return Cost(weights * pixels, weights + out + 2 * out * norms)


def _pixels(input_size: tuple[int, int], level: int) -> int:
    height, width = input_size
    stride = 1 << level
    return -(-height // stride) * -(-width // stride)
