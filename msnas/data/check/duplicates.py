"""Pictures that are there twice, or nearly, in one split or in two: found by comparing small copies of all pairs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SIDE = 32  # pixels of the small copies that are compared
_COARSE = 0.92  # correlation at 8 pixels that makes a pair worth a closer look
_SAME = 0.985  # correlation at 32 pixels of two copies of one picture, whatever their brightness
_ALIKE, _CLOSE = 0.94, 10.0  # of two shots of one scene, which then differ little in brightness too (of 255)
_BLOCK = 2048  # rows compared at once
Thumbnails = NDArray[np.uint8]  # [n, 32, 32, 3]


@dataclass(frozen=True)
class Duplicate:
    """Two images that show the same: indices into the first and the second split, and their correlation."""

    first: int
    second: int
    similarity: float


def near_duplicates(first: Thumbnails, second: Thumbnails) -> list[Duplicate]:
    """Pairs of images across two splits that are the same picture, perhaps encoded or resized again.

    Both [n, 32, 32, 3]. Mirrored copies count; pictures of one colour match nothing. The likest pairs come
    first.
    """
    if not len(first) or not len(second):
        return []
    coarse = _normalised(_pooled(second))
    found: dict[tuple[int, int], float] = {}
    for start in range(0, len(first), _BLOCK):
        for block in (first[start : start + _BLOCK], first[start : start + _BLOCK, :, ::-1]):
            likely: NDArray[np.bool_] = _normalised(_pooled(block)) @ coarse.T > _COARSE
            for row, column in zip(*np.nonzero(likely), strict=True):
                similarity = _similarity(block[row], second[column])
                if similarity > found.get((start + row, column), 0.0):
                    found[start + row, column] = similarity
    ranked = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return [Duplicate(int(row), int(column), similarity) for (row, column), similarity in ranked]


def near_copies(images: Thumbnails) -> list[list[int]]:
    """Groups of two images or more that are near copies, each of at least one other of its group; in file order.

    images [n, 32, 32, 3]. A film that changes slowly is one group, though its ends differ.
    """
    if not len(images):
        return []
    group = np.arange(len(images))  # the least index of the group that each image belongs to
    coarse, later = _normalised(_pooled(images)), np.arange(len(images))
    for start in range(0, len(images), _BLOCK):
        block = images[start : start + _BLOCK]
        for seen in (block, block[:, :, ::-1]):
            likely = _normalised(_pooled(seen)) @ coarse.T > _COARSE
            likely &= later > start + np.arange(len(block))[:, None]  # each pair once, no image with itself
            for row in np.flatnonzero(likely.any(axis=1)):
                _join(group, start + int(row), seen[row], images, np.flatnonzero(likely[row]))
    members: dict[int, list[int]] = {}
    for index, first in enumerate(group.tolist()):
        members.setdefault(first, []).append(index)
    return [indices for indices in members.values() if len(indices) > 1]


def _join(
    group: NDArray[np.int64], index: int, seen: NDArray[np.uint8], images: Thumbnails, others: NDArray[np.int64]
) -> None:
    """Make one group of image `index` (as `seen`) and those of `others` that it is a near copy of."""
    for other in others.tolist():
        if group[other] != group[index] and _similarity(seen, images[other]):
            low, high = sorted((group[index], group[other]))
            group[group == high] = low


def _similarity(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """The correlation of two pictures [32, 32, 3] if they show the same, else 0."""
    pair = np.stack([first, second]).astype(np.float32).reshape(2, -1)
    left, right = _normalised(pair)
    correlation = float(np.dot(left, right))
    close = float(np.abs(pair[0] - pair[1]).mean()) < _CLOSE
    return correlation if correlation > _SAME or (correlation > _ALIKE and close) else 0.0


def _pooled(images: Thumbnails) -> NDArray[np.float32]:
    """Averaged over 4 x 4 pixels: [n, 8 * 8 * 3]."""
    blocks = images.reshape(len(images), SIDE // 4, 4, SIDE // 4, 4, 3)
    pooled: NDArray[np.float32] = blocks.mean(axis=(2, 4), dtype=np.float32)
    return pooled.reshape(len(images), -1)


def _normalised(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows without their mean, of length 1; rows of one colour become 0."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    unit: NDArray[np.float32] = np.where(length > rows.shape[1] ** 0.5, centred / np.maximum(length, 1e-6), 0)
    return unit
