"""Segmentations as pycocotools means them: lists of polygons, and run lengths (RLE), plain or compressed.

Run lengths are checked here before pycocotools sees them: its C code trusts them.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask

Size = tuple[int, int]  # height, width; pixels


def segmentation_fault(value: Any, size: Size | None) -> str | None:
    """The rule that a segmentation breaks, or None. `size`: of its image, where known.

    Nothing at all (absent, null, an empty list) is no fault, nor is a polygon of one or two points: it is
    empty.
    """
    if value is None or value == []:
        return None
    if isinstance(value, dict):
        return _run_length_fault(value, size)
    if not isinstance(value, list):
        return "the segmentation must be a list of polygons or an RLE object"
    return next((fault for polygon in value if (fault := _polygon_fault(polygon)) is not None), None)


def usable(value: Any) -> bool:
    """Whether a faultless segmentation says where its object is: an RLE, or a polygon of three points or more."""
    return isinstance(value, dict) or any(len(polygon) >= 6 for polygon in value or ())


def bounds(value: Any) -> tuple[float, float, float, float] | None:
    """The box [x, y, width, height] around a faultless segmentation, pixels; None where it is empty."""
    if isinstance(value, dict):
        mask = _decoded(value)
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not len(rows):
            return None
        left, top = int(columns[0]), int(rows[0])
        return float(left), float(top), float(columns[-1] - left + 1), float(rows[-1] - top + 1)
    points = np.array([x for polygon in value or () if len(polygon) >= 6 for x in polygon], float).reshape(-1, 2)
    if not len(points):
        return None
    (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return left, top, right - left, bottom - top


def polygon_area(polygon: list[float]) -> float:
    """Of [x1, y1, x2, y2, ...], in square pixels, by the shoelace formula."""
    x, y = np.array(polygon, float).reshape(-1, 2).T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def rasterise(value: Any, size: Size, target: Size) -> NDArray[np.uint8]:
    """A faultless segmentation of an image of `size`, as a 0/1 mask [h, w] of the image resized to `target`."""
    if isinstance(value, dict):
        return _resized(_decoded(value), target)
    scale = np.array([target[1] / size[1], target[0] / size[0]])
    polygons = [(np.reshape(polygon, (-1, 2)) * scale).ravel().tolist() for polygon in value if len(polygon) >= 6]
    if not polygons:
        return np.zeros(target, np.uint8)
    return _decoded(coco_mask.merge(coco_mask.frPyObjects(polygons, *target)))


def encode(mask: NDArray[np.uint8]) -> dict[str, Any]:
    """A 0/1 mask [h, w] as compressed RLE that JSON can hold."""
    rle = coco_mask.encode(np.asfortranarray(mask))
    return {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode("ascii")}


def _decoded(rle: dict[str, Any]) -> NDArray[np.uint8]:
    """The 0/1 mask [h, w] of faultless run lengths, which go down the columns and begin with zeros."""
    counts = rle["counts"].decode("ascii") if isinstance(rle["counts"], bytes) else rle["counts"]
    runs = _decompressed(counts) if isinstance(counts, str) else np.array(counts)
    assert runs is not None, "faultless"
    height, width = rle["size"]
    return np.repeat(np.arange(len(runs), dtype=np.uint8) % 2, runs).reshape(width, height).T


def _resized(mask: NDArray[np.uint8], target: Size) -> NDArray[np.uint8]:
    if mask.shape == target:
        return mask
    image = Image.fromarray(np.ascontiguousarray(mask)).resize((target[1], target[0]), Image.Resampling.NEAREST)
    return np.asarray(image)


def _polygon_fault(polygon: Any) -> str | None:
    if not isinstance(polygon, list):
        return "a polygon must be a flat list of numbers [x, y, x, y, ...]"
    try:
        points = np.asarray(polygon)
    except (ValueError, OverflowError):  # ragged, or a whole number that no machine number holds
        return "a polygon must be a flat list of numbers [x, y, x, y, ...]"
    if polygon and (points.ndim != 1 or points.dtype.kind not in "iuf"):
        return "a polygon must be a flat list of numbers [x, y, x, y, ...]"
    if len(polygon) % 2:
        return "a polygon must have as many x as y"
    if points.dtype.kind == "f" and not np.isfinite(points).all():
        return "every number of a polygon must be finite"
    return None


def _run_length_fault(value: dict[str, Any], size: Size | None) -> str | None:
    stated, counts = value.get("size"), value.get("counts")
    if not isinstance(stated, list) or len(stated) != 2 or not all(type(side) is int and side > 0 for side in stated):
        return "an RLE must have size [height, width]"
    if size is not None and 0 not in size and tuple(stated) != size:
        return f"the RLE's size must be its image's [height, width] = {list(size)}"
    runs = _decompressed(counts) if isinstance(counts, str) else _plain(counts)
    if runs is None:
        return "an RLE's counts must be a list of whole numbers or a compressed string"
    if (runs < 0).any() or int(runs.sum()) != stated[0] * stated[1]:
        return "an RLE's counts must not be negative and must add up to height x width"
    return None


def _plain(counts: Any) -> NDArray[np.int64] | None:
    if not isinstance(counts, list) or not all(type(run) is int and abs(run) < 2**40 for run in counts):
        return None
    return np.array(counts, np.int64)


def _decompressed(text: str) -> NDArray[np.int64] | None:
    """The runs of a compressed string, as rleFrString of pycocotools' maskApi.c reads them.

    Five bits a letter from chr(48) on, the sixth says that more follow; from the fourth run on, differences to the run
    before the last.
    """
    letters = np.frombuffer(text.encode("utf-8"), np.uint8).astype(np.int64) - 48
    if letters.size == 0 or letters.min() < 0 or letters.max() > 63 or letters[-1] & 0x20:
        return None
    last = np.flatnonzero((letters & 0x20) == 0)
    first = np.concatenate(([0], last[:-1] + 1))
    place = np.arange(letters.size) - np.repeat(first, last - first + 1)
    if place.max() > 7:
        return None
    runs = np.add.reduceat((letters & 0x1F) << (5 * place), first)
    runs -= np.where(letters[last] & 0x10, 1 << (5 * (last - first + 1)), 0)  # the last letter's top bit is the sign
    runs[2::2] = np.cumsum(runs[2::2])
    runs[1::2] = np.cumsum(runs[1::2])
    return runs
