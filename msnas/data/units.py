"""Boxes in other units than COCO's pixels [x, y, width, height]: fractions, percents, corners, centres, another size.

Two kinds of evidence: an object's own area or polygon, which only one reading of its box agrees with; and boxes that
leave their images in great number, which another reading keeps inside.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from msnas.data.faults import Severity
from msnas.data.fields import Box
from msnas.data.segmentation import bounds

Floats = NDArray[np.float64]
RULE = "the boxes must be [x, y, width, height] in pixels of their image"
_FEW = 1000  # objects whose areas and polygons are held against their boxes
_LEAVES = 0.02  # of a side: a box that reaches over the border by more is no rounding
_SURE = 10  # boxes from which on a share is believed


class UnitFault(NamedTuple):
    """What the boxes of a file seem to be, and how sure that is: refused or noted."""

    severity: Severity
    rule: str
    got: str


@dataclass
class Objects:
    """The boxes of a file as they stand there, with what else is known of them."""

    boxes: list[Box] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    areas: list[float] = field(default_factory=list)
    polygons: list[Box] = field(default_factory=list)

    def add(self, box: Box, size: tuple[int, int], area: Any, segmentation: Any) -> None:
        """One object in an image of `size` (width, height), if not empty. segmentation: faultless or None."""
        if box[2] <= 0 or box[3] <= 0:
            return
        self.boxes.append(box)
        self.sizes.append(size)
        if len(self.areas) < _FEW:
            number = isinstance(area, int | float) and not isinstance(area, bool) and 0 < area < 1e18
            self.areas.append(float(area) if number else np.nan)
            self.polygons.append((isinstance(segmentation, list) and bounds(segmentation)) or (np.nan,) * 4)


class _Reading(NamedTuple):
    """Another meaning of the four numbers: how it is told, the remedy, and the box in pixels that it makes of them."""

    cause: str
    remedy: str
    pixels: Callable[[Floats, Floats], Floats]  # boxes [n, 4] and sizes [n, 2] (width, height) -> xywh [n, 4]


def _percent(boxes: Floats, sizes: Floats) -> Floats:
    return boxes * np.tile(sizes, 2) / 100


def _fractions(boxes: Floats, sizes: Floats) -> Floats:
    return boxes * np.tile(sizes, 2)


def _corners(boxes: Floats, _: Floats) -> Floats:
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def _centres(boxes: Floats, _: Floats) -> Floats:
    return np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, 2:]], axis=1)


def _swapped(boxes: Floats, _: Floats) -> Floats:
    return boxes[:, [1, 0, 3, 2]]


_READINGS = {
    "fractions": _Reading(
        "fractions of the image (0..1)", "multiply x and width by the image's width, y and height by its height",
        _fractions,
    ),
    "percent": _Reading(
        "percents of the image (0..100)", "multiply by the image's width and height and divide by 100", _percent
    ),
    "corners": _Reading("corners [x1, y1, x2, y2]", "write [x1, y1, x2 - x1, y2 - y1]", _corners),
    "centres": _Reading(
        "centres [x, y, width, height]", "subtract half of the width from x and half of the height from y", _centres
    ),
    "swapped": _Reading("[y, x, height, width]", "write x before y and width before height", _swapped),
}  # fmt: skip


def unit_fault(objects: Objects) -> UnitFault | None:
    """The likely unit of a file's boxes where it is not COCO's, None where it may be."""
    if not objects.boxes:
        return None
    with np.errstate(all="ignore"):  # huge numbers, which are another fault
        return _judged(np.array(objects.boxes, np.float64), np.array(objects.sizes, np.float64), objects)


def _judged(boxes: Floats, sizes: Floats, objects: Objects) -> UnitFault | None:
    fraction = float((boxes.max(axis=1) <= 1).mean()) if sizes.min() > 2 else 0.0
    if fraction == 1:
        return _fault("fractions", "refused", f"all {len(boxes)} boxes lie in 0..1")
    by_object = _by_areas(boxes[:_FEW], sizes[:_FEW], np.array(objects.areas), np.array(objects.polygons))
    if by_object is not None:
        return by_object
    if fraction >= 0.05 and fraction * len(boxes) > 2:
        severity: Severity = "refused" if fraction >= 0.5 else "noted"  # fractions with a few that were rounded past 1
        return _fault("fractions", severity, f"{round(fraction * len(boxes))} of {len(boxes)} boxes lie in 0..1")
    return _by_borders(boxes, sizes)


def _by_areas(boxes: Floats, sizes: Floats, areas: Floats, polygons: Floats) -> UnitFault | None:
    """Judged by each object's polygon, or else by its area: another reading agrees where the box as it is does not."""
    has_polygon = ~np.isnan(polygons[:, 0])
    known = has_polygon | ~np.isnan(areas)
    if known.sum() < 3:
        return None

    def agreeing(pixels: Floats) -> float:
        near = np.abs(pixels - polygons).max(axis=1) <= np.maximum(2, 0.02 * sizes.max(axis=1))
        product = np.where((pixels[:, 2:] > 0).all(axis=1), np.prod(pixels[:, 2:], axis=1), 0)
        same = np.abs(product - areas) <= 0.03 * areas
        return float(np.where(has_polygon, near, same)[known].mean())

    if agreeing(boxes) > 0.1:
        return None
    for name, reading in _READINGS.items():
        if agreeing(reading.pixels(boxes, sizes)) > 0.9:
            by = "polygons" if has_polygon.any() else "areas"
            return _fault(
                name, "refused", f"the {by} of the objects agree with that, and not with the boxes as they are"
            )
    return None


def _by_borders(boxes: Floats, sizes: Floats) -> UnitFault | None:
    """Judged by the borders of the images alone."""
    leaving, many = _leaving(boxes, sizes), len(boxes) >= _SURE
    reach = (boxes[:, :2] + boxes[:, 2:]) / sizes
    if sizes.min() > 150 and many and (boxes[:, :2] + boxes[:, 2:]).max() <= 100.5:
        severity: Severity = "refused" if (boxes[:, :2] + boxes[:, 2:]).max() > 80 else "noted"
        return _fault(
            "percent", severity, f"no box of {len(boxes)} reaches beyond 100 in images of 150 pixels and more"
        )
    told = f"{leaving:.0%} of {len(boxes)} boxes leave their image as they are, and hardly any when read so"
    for name, some, enough in (
        ("corners", 0.1, 0.2),
        ("centres", 0.05, 0.1),
        ("swapped", 0.1, 0.2),
        ("percent", 0.1, 2),
    ):
        pixels = _READINGS[name].pixels(boxes, sizes)
        if leaving >= some and _leaving(pixels, sizes) <= 0.01 and (pixels[:, 2:] > 0).all():
            return _fault(name, "refused" if many and leaving >= enough else "noted", told)
    outside = float((boxes[:, :2] >= sizes).any(axis=1).mean())
    across, down = reach.max(axis=0).tolist()
    if leaving >= 0.3 or (outside >= 0.1 and many):
        got = f"{leaving:.0%} of {len(boxes)} boxes leave their image, and reach to {across:.3g} x its width and "
        got += f"{down:.3g} x its height: those of a larger copy"
        if 800 <= (boxes[:, :2] + boxes[:, 2:]).max() <= 1000.5:
            got += ", or thousandths of the image (0..1000), as language models give them"
        got += "? Scale them, or give the images that they were drawn on"
        return UnitFault("refused" if many and outside >= 0.1 else "noted", RULE, got)
    if len(boxes) >= 20 and sizes.min() >= 64 and max(across, down) <= 0.55:
        got = (
            f"no box of {len(boxes)} reaches beyond {across:.0%} of the width and {down:.0%} of the height: those of a "
        )
        return UnitFault("noted", RULE, got + "smaller copy of the images?")
    return None


def _leaving(boxes: Floats, sizes: Floats) -> float:
    """The share of boxes that leave their image by more than rounding."""
    slack = _LEAVES * sizes
    out = (boxes[:, :2] < -slack).any(axis=1) | (boxes[:, :2] + boxes[:, 2:] > sizes + slack).any(axis=1)
    return float(out.mean())


def _fault(name: str, severity: Severity, evidence: str) -> UnitFault:
    cause, remedy, _ = _READINGS[name]
    return UnitFault(severity, RULE, f"what seem to be {cause}: {evidence}; {remedy}")
