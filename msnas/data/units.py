"""Boxes that are not COCO's [x, y, width, height] in pixels: of another unit, in another order, of another size.

Three kinds of evidence: an object's own area or polygon, which only one reading of its box agrees with; numbers that
end at 1, 100 or 1000 where the images do not; and boxes that leave their images in great number, which another reading
keeps inside.
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


class _Unit(NamedTuple):
    """What a number of a box counts: the image's width, or its height, is `whole` of it. None: pixels."""

    whole: float | None
    cause: str = ""
    remedy: str = ""


class _Order(NamedTuple):
    """What the four numbers [n, 4] are, and [x, y, width, height] made of them."""

    cause: str
    remedy: str
    xywh: Callable[[Floats], Floats]


def _corners(boxes: Floats) -> Floats:
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def _centres(boxes: Floats) -> Floats:
    return np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, 2:]], axis=1)


def _swapped(boxes: Floats) -> Floats:
    return boxes[:, [1, 0, 3, 2]]


def _swapped_corners(boxes: Floats) -> Floats:
    return _corners(_swapped(boxes))


_UNITS = {
    "pixels": _Unit(None),
    "fractions": _Unit(
        1, "fractions of the image (0..1)", "multiply x and width by the image's width, y and height by its height"
    ),
    "percent": _Unit(
        100, "percents of the image (0..100)", "multiply by the image's width and height and divide by 100"
    ),
    "thousandths": _Unit(
        1000,
        "thousandths of the image (0..1000), as language models give them",
        "multiply by the image's width and height and divide by 1000",
    ),
    "1024ths": _Unit(
        1024,
        "1024ths of the image, as language models give them",
        "multiply by the image's width and height and divide by 1024",
    ),
}
_ORDERS = {
    "boxes": _Order("", "", np.array),
    "corners": _Order("corners [x1, y1, x2, y2]", "write [x1, y1, x2 - x1, y2 - y1]", _corners),
    "centres": _Order(
        "centres [x, y, width, height]", "subtract half of the width from x and half of the height from y", _centres
    ),
    "swapped": _Order("[y, x, height, width]", "write x before y and width before height", _swapped),
    "swapped corners": _Order("corners [y1, x1, y2, x2]", "write [x1, y1, x2 - x1, y2 - y1]", _swapped_corners),
}  # fmt: skip
_RIVALS = {  # order -> one that fits the same boxes where all of them are small, or their images square
    "boxes": ("centres", "x and y may be centres, as YOLO's are"),
    "corners": ("swapped corners", "y may stand before x, as language models write it"),
}


class _Reading(NamedTuple):
    """Another meaning of the four numbers."""

    unit: str
    order: str

    def pixels(self, boxes: Floats, sizes: Floats) -> Floats:
        """[x, y, width, height] in pixels [n, 4], of boxes [n, 4] in images of `sizes` [n, 2] (width, height)."""
        whole, read = _UNITS[self.unit].whole, _ORDERS[self.order].xywh(boxes)
        return read if whole is None else read * np.tile(sizes, 2) / whole

    def fits(self, boxes: Floats, sizes: Floats) -> bool:
        """Whether every box, read so, has an area and hardly any leaves its image."""
        pixels = self.pixels(boxes, sizes)
        return _leaving(pixels, sizes) <= 0.01 and bool((pixels[:, 2:] > 0).all())

    def fault(self, severity: Severity, evidence: str, boxes: Floats, sizes: Floats) -> UnitFault:
        """That the boxes are to be read so, why that seems so, and what to do."""
        unit, order = _UNITS[self.unit], _ORDERS[self.order]
        cause = " in ".join(filter(None, (order.cause, unit.cause)))
        remedy = ", then ".join(filter(None, (unit.remedy, order.remedy)))
        rival, doubt = _RIVALS.get(self.order, ("", ""))
        doubts = [doubt] if rival and self._replace(order=rival).fits(boxes, sizes) else []
        if self.unit == "thousandths":
            doubts.append("they may be 1024ths")
        if self.unit == "pixels" and 900 <= boxes.max() <= 1000.5 and sizes.max() > 1000:
            doubts.append(f"they may be {_UNITS['thousandths'].cause}")
        doubted = f" ({', or '.join(doubts)}: draw some)" if doubts else ""
        return UnitFault(severity, RULE, f"what seem to be {cause}: {evidence}; {remedy}{doubted}")


_READINGS = [_Reading(unit, order) for unit in _UNITS for order in _ORDERS][1:]


def unit_fault(objects: Objects) -> UnitFault | None:
    """The likely unit of a file's boxes where it is not COCO's, None where it may be."""
    if not objects.boxes:
        return None
    with np.errstate(all="ignore"):  # huge numbers, which are another fault
        return _judged(np.array(objects.boxes, np.float64), np.array(objects.sizes, np.float64), objects)


def _judged(boxes: Floats, sizes: Floats, objects: Objects) -> UnitFault | None:
    by_object = _by_areas(boxes[:_FEW], sizes[:_FEW], np.array(objects.areas), np.array(objects.polygons))
    if by_object is not None:
        return by_object
    small = (boxes.max(axis=1) <= 1) & (sizes.min() > 2)
    number, share = int(small.sum()), float(small.mean())
    if share == 1 or (share >= 0.05 and number > 2):
        severity: Severity = "refused" if share >= 0.5 else "noted"  # fractions with a few that were rounded past 1
        evidence = f"{number} of {len(boxes)} boxes lie in 0..1" if share < 1 else f"all {number} boxes lie in 0..1"
        return _in_order("fractions", boxes[small], sizes[small]).fault(severity, evidence, boxes[small], sizes[small])
    return _by_whole(boxes, sizes) or _by_borders(boxes, sizes)


def _in_order(unit: str, boxes: Floats, sizes: Floats) -> _Reading:
    """The boxes in this unit, in the first order that fits, else as [x, y, width, height]."""
    readings = [_Reading(unit, order) for order in _ORDERS]
    return next((reading for reading in readings if reading.fits(boxes, sizes)), readings[0])


def _by_areas(boxes: Floats, sizes: Floats, areas: Floats, polygons: Floats) -> UnitFault | None:
    """Judged by each object's polygon, or else by its area: another reading agrees where the box as it is does not."""
    has_polygon = ~np.isnan(polygons[:, 0])
    known = has_polygon | ~np.isnan(areas)
    if known.sum() < 3:
        return None

    def errors(pixels: Floats) -> Floats:
        """Of each object, as shares of what still agrees."""
        apart = np.abs(pixels - polygons).max(axis=1) / np.maximum(2, 0.02 * sizes.max(axis=1))
        product = np.where((pixels[:, 2:] > 0).all(axis=1), np.prod(pixels[:, 2:], axis=1), 0)
        return np.where(has_polygon, apart, np.abs(product - areas) / (0.03 * areas))[known]

    def agreeing(pixels: Floats) -> float:
        return float((errors(pixels) <= 1).mean())

    if agreeing(boxes) > 0.1:
        return None
    agree = [reading for reading in _READINGS if agreeing(reading.pixels(boxes, sizes)) > 0.9]
    if not agree:
        return None
    by = "polygons" if has_polygon.any() else "areas"
    fitting = [one for one in agree if one.fits(boxes, sizes)] or agree
    reading = min(fitting, key=lambda one: np.median(errors(one.pixels(boxes, sizes))).round(3))
    evidence = f"the {by} of the objects agree with that, and not with the boxes as they are"
    return reading.fault("refused", evidence, boxes, sizes)


def _by_whole(boxes: Floats, sizes: Floats) -> UnitFault | None:
    """Judged by numbers that end at 100 or 1000, in images that do not."""
    if len(boxes) < _SURE:
        return None
    reach = float((boxes[:, :2] + boxes[:, 2:]).max())
    if sizes.min() > 150 and reach <= 100.5:
        evidence = f"no box of {len(boxes)} reaches beyond 100 in images of 150 pixels and more"
        return _Reading("percent", "boxes").fault("refused" if reach > 80 else "noted", evidence, boxes, sizes)
    for unit, sides, share in (
        ("percent", sizes.min(axis=1), 0.8),
        ("thousandths", sizes.max(axis=1), 0.9),
        ("1024ths", sizes.max(axis=1), 0.9),
    ):
        whole = _UNITS[unit].whole or 0
        if boxes.max() > 1.0005 * whole or sides.min() < (3 if unit == "percent" else 1.5) * whole:
            continue
        reading = _in_order(unit, boxes, sizes)
        if reading.fits(boxes, sizes) and _reach(reading, boxes, sizes).min() >= share:
            severity: Severity = "refused" if "corners" in reading.order else "noted"  # others fit some pixels, too
            evidence = f"no number of {len(boxes)} boxes is beyond {whole} in images of {sides.min():g} pixels and more"
            return reading.fault(severity, evidence, boxes, sizes)
    return None


def _by_borders(boxes: Floats, sizes: Floats) -> UnitFault | None:
    """Judged by the borders of the images alone."""
    leaving, many = _leaving(boxes, sizes), len(boxes) >= _SURE
    told = f"{leaving:.0%} of {len(boxes)} boxes leave their image as they are, and hardly any when read so"
    for unit, order, some, enough in (
        ("pixels", "corners", 0.1, 0.2),
        ("pixels", "centres", 0.05, 0.1),
        ("pixels", "swapped", 0.1, 0.2),
        ("pixels", "swapped corners", 0.1, 0.2),
        ("percent", "boxes", 0.1, 2),
        *((unit, order, 0.1, 0.2) for unit in ("thousandths", "1024ths") for order in _ORDERS),
    ):
        reading = _Reading(unit, order)
        if leaving < some or not reading.fits(boxes, sizes):
            continue
        if unit in ("thousandths", "1024ths") and _reach(reading, boxes, sizes).min() < 0.8:
            continue  # of a larger copy, more likely
        return reading.fault("refused" if many and leaving >= enough else "noted", told, boxes, sizes)
    over = (boxes[:, :2] + boxes[:, 2:] - sizes > np.maximum(1.5, 0.1 * boxes[:, 2:])).any(axis=1)
    if (
        many and over.mean() >= 0.05 and _Reading("pixels", "centres").fits(boxes, sizes)
    ):  # of objects too small to leave
        got = f"{over.mean():.0%} of {len(boxes)} boxes reach over the right or lower border, and none when read so"
        return _Reading("pixels", "centres").fault("noted", got, boxes, sizes)
    outside = float((boxes[:, :2] >= sizes).any(axis=1).mean())
    across, down = _reach(_Reading("pixels", "boxes"), boxes, sizes).tolist()
    if leaving >= 0.3 or (outside >= 0.1 and many):
        got = f"{leaving:.0%} of {len(boxes)} boxes leave their image, and reach to {across:.3g} x its width and "
        got += f"{down:.3g} x its height: those of a larger copy"
        if 800 <= boxes.max() <= 1000.5:
            got += f", or {_UNITS['thousandths'].cause}"
        got += "? Scale them, or give the images that they were drawn on"
        return UnitFault("refused" if many and outside >= 0.1 else "noted", RULE, got)
    if len(boxes) >= 20 and sizes.min() >= 64 and max(across, down) <= 0.55:
        got = (
            f"no box of {len(boxes)} reaches beyond {across:.0%} of the width and {down:.0%} of the height: those of a "
        )
        return UnitFault("noted", RULE, got + "smaller copy of the images?")
    return None


def _reach(reading: _Reading, boxes: Floats, sizes: Floats) -> Floats:
    """How far right and down any box goes when read so: [2], shares of the image."""
    pixels = reading.pixels(boxes, sizes)
    reach: Floats = ((pixels[:, :2] + pixels[:, 2:]) / sizes).max(axis=0)
    return reach


def _leaving(boxes: Floats, sizes: Floats) -> float:
    """The share of boxes that leave their image by more than rounding."""
    slack = _LEAVES * sizes
    out = (boxes[:, :2] < -slack).any(axis=1) | (boxes[:, :2] + boxes[:, 2:] > sizes + slack).any(axis=1)
    return float(out.mean())
