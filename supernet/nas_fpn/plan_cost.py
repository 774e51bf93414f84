"""What a RetinaNet with a NAS-FPN or FPN neck costs: exact multiply-accumulates and parameters, closed form.

Convolutions only, as everywhere; the backbone alone is counted on its built module. Equal to a count on the
whole built detector, by test. Torch is imported when a backbone's cost is asked for.
"""

from collections.abc import Sequence
from typing import Any

from supernet.cost import Cost, total
from supernet.nas_fpn.pyramid_plan import PyramidPlan

ANCHORS = 9  # 3 scales x 3 ratios a position
HEAD_DEPTH = 4  # 3x3 convolutions before the prediction, in the class and in the box tower
FEATURE_LEVELS = (3, 4, 5)  # of the backbone


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
) -> Cost:
    """Everything but the cells: backbone, projections of C3, C4, C5, and a RetinaNet head an exit."""
    body, features = _backbone(backbone, input_size, width)
    head = head_cost(levels, channels=channels, input_size=input_size, num_classes=num_classes, lite=lite)
    projections = [
        _conv(1, inputs, channels, _pixels(input_size, level), norms=1)
        for level, inputs in zip(FEATURE_LEVELS, features, strict=True)
    ]
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
    width: float = 1.0,
    lite: bool = False,
) -> Cost:
    """A RetinaNet with the standard FPN: laterals, a 3x3 each for P3..P5, strided ones for P6 and P7."""
    body, features = _backbone(backbone, input_size, width)
    head = head_cost(levels, channels=channels, input_size=input_size, num_classes=num_classes, lite=lite)
    laterals = [
        _conv(1, inputs, channels, _pixels(input_size, level))
        for level, inputs in zip(FEATURE_LEVELS, features, strict=True)
    ]
    outputs = [_conv(3, channels, channels, _pixels(input_size, level), lite=lite) for level in levels]
    return total([body, head, *laterals, *outputs])


def head_cost(
    levels: Sequence[int], *, channels: int, input_size: tuple[int, int], num_classes: int, lite: bool = False
) -> Cost:
    """Class and box towers, shared by the levels but for their norms, and the two predictions."""
    pixels = sum(_pixels(input_size, level) for level in levels)
    layer = _conv(3, channels, channels, pixels, lite=lite, norms=len(levels))
    predictions = [_conv(3, channels, ANCHORS * out, pixels, lite=lite) for out in (num_classes, 4)]
    return total([*predictions, *[layer] * (2 * HEAD_DEPTH)])


def _backbone(name: str, input_size: tuple[int, int], width: float) -> tuple[Cost, tuple[int, ...]]:
    from supernet.backbone import backbone_cost

    return backbone_cost(name, FEATURE_LEVELS, input_size, width)


def _conv(size: int, fan_in: int, out: int, pixels: int, *, lite: bool = False, norms: int = 0) -> Cost:
    """A convolution with bias and `norms` batch norms behind it; `lite`: depthwise (no bias), then 1x1."""
    weights = size * size * fan_in + fan_in * out if lite else size * size * fan_in * out
    return Cost(weights * pixels, weights + out + 2 * out * norms)


def _pixels(input_size: tuple[int, int], level: int) -> int:
    height, width = input_size
    stride = 1 << level
    return -(-height // stride) * -(-width // stride)
