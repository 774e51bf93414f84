"""Sizes of resized and padded images, and which boxes anchors reach. Numpy only."""

from collections.abc import Iterable, Sequence
from math import ceil

import numpy as np
from numpy.typing import NDArray

GROUPS = 5
ASPECT_RATIOS = (0.5, 1.0, 2.0)  # height / width of the anchors
REFERENCE_SHORT_SIDE = 800  # the image size of the paper, which the published anchors and base scale belong to
ANCHOR_SIZES = (32, 64, 128, 256, 512)  # one a group, pixels at the reference size
BASE_SCALE = 224  # side of a region of k = 4 at the reference size
Floats = NDArray[np.float64]


def resized_size(height: int, width: int, short_side: int, long_side: int) -> tuple[int, int]:
    """(height, width) of an image whose short side becomes `short_side`, unless the long side would pass `long_side`.

    Never below 1 pixel. Resizing a resized size gives it back.
    """
    scale = min(short_side / min(height, width), long_side / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def padded_size(height: int, width: int, divisor: int = 64) -> tuple[int, int]:
    """(height, width) rounded up to multiples of `divisor`."""
    return ceil(height / divisor) * divisor, ceil(width / divisor) * divisor


def typical_input(sizes: Iterable[tuple[int, int]], short_side: int, long_side: int, divisor: int) -> tuple[int, int]:
    """(height, width) that most images are padded to; portrait and landscape count as one, landscape is given.

    sizes: (height, width) of the stored images, at least one.
    """
    number: dict[tuple[int, int], int] = {}
    for height, width in sizes:
        size = resized_size(min(height, width), max(height, width), short_side, long_side)
        padded = padded_size(*size, divisor)
        number[padded] = number.get(padded, 0) + 1
    return max(number, key=lambda size: (number[size], size))


def anchor_hits(
    boxes: Floats,
    grids: NDArray[np.int64],
    strides: tuple[int, ...],
    anchors: Sequence[float],
    threshold: float = 0.5,
) -> NDArray[np.bool_]:
    """Whether each box has an anchor of IoU >= `threshold` on each group's grid at each stride: [5, strides, n].

    boxes [n, 4]: xyxy, pixels; grids [n, 2]: padded (height, width) of each box's image. The anchors are
    torchvision's without its rounding: centres at multiples of the stride from 0, sizes `anchors` [5], one a
    group. IoU falls with the distance of the centres in x and in y, so the nearest centre decides: no
    grid is built.
    """
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2  # [n, 2] x, y
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    hits = np.zeros((GROUPS, len(strides), len(boxes)), bool)
    for column, stride in enumerate(strides):
        last = np.maximum(grids[:, ::-1] // stride - 1, 0)
        nearest = np.clip(np.rint(centre / stride), 0, last) * stride
        for group, size in enumerate(anchors):
            for ratio in ASPECT_RATIOS:
                half = size / 2 * np.array([ratio**-0.5, ratio**0.5])  # width, height
                overlap = np.minimum(nearest + half, boxes[:, 2:]) - np.maximum(nearest - half, boxes[:, :2])
                shared = np.prod(np.clip(overlap, 0, None), axis=1)
                hits[group, column] |= shared >= threshold * (area + 4 * np.prod(half) - shared)
    return hits
