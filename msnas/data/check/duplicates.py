"""Pictures that are there twice, or nearly, in one split or in two: found by comparing small copies of all pairs."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

SIDE = 32  # pixels of the small copies that are compared
_COARSE = 0.92  # correlation at 8 pixels that makes a pair worth a closer look
_SAME = 0.985  # correlation at 32 pixels of two copies of one picture, whatever their brightness
_ALIKE, _CLOSE = 0.94, 10.0  # of two shots of one scene, which then differ little in brightness too (of 255)
_BLOCK = 2048  # rows compared at once
Number = TypeVar("Number", np.uint8, np.float32)
Thumbnails = NDArray[np.uint8]  # [n, 32, 32, 3]


@dataclass(frozen=True)
class Duplicate:
    """Two images that show the same: indices into the first and the second split, and their correlation."""

    first: int
    second: int
    similarity: float


def near_duplicates(first: Thumbnails, second: Thumbnails) -> list[Duplicate]:
    """Pairs of images across two splits that are the same picture, perhaps encoded or resized again.

    Both [n, 32, 32, 3]. Turned and mirrored copies count; pictures of one colour match nothing. The likest pairs come
    first.
    """
    if not len(first) or not len(second):
        return []
    coarse = _normalised(_pooled(second))
    found: dict[tuple[int, int], float] = {}
    for start in range(0, len(first), _BLOCK):
        block = first[start : start + _BLOCK]
        for seen, pooled in zip(_turned(block), _turned(_pooled(block)), strict=True):
            likely: NDArray[np.bool_] = _normalised(pooled) @ coarse.T > _COARSE
            for row, column in zip(*np.nonzero(likely), strict=True):
                similarity = _similarity(seen[row], second[column])
                if similarity > found.get((start + row, column), 0.0):
                    found[start + row, column] = similarity
    ranked = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return [Duplicate(int(row), int(column), similarity) for (row, column), similarity in ranked]


def near_copies(images: Thumbnails) -> list[list[int]]:
    """Groups of two images or more that are near copies, each of at least one other of its group; in file order.

    images [n, 32, 32, 3]. Turned and mirrored copies count. A film that changes slowly is one group, though its ends
    differ.
    """
    if not len(images):
        return []
    group = np.arange(len(images))  # the least index of the group that each image belongs to
    coarse = _normalised(_pooled(images))
    for start in range(0, len(images), _BLOCK):
        block = images[start : start + _BLOCK]
        for seen, pooled in zip(_turned(block), _turned(_pooled(block)), strict=True):
            likely = np.triu(_normalised(pooled) @ coarse[start:].T > _COARSE, 1)  # each pair once
            for row in np.flatnonzero(likely.any(axis=1)):
                _join(group, start + int(row), seen[row], images, start + np.flatnonzero(likely[row]))
    members: dict[int, list[int]] = {}
    for index, first in enumerate(group.tolist()):
        members.setdefault(first, []).append(index)
    return [indices for indices in members.values() if len(indices) > 1]


def _turned(images: NDArray[Number]) -> Iterator[NDArray[Number]]:
    """The images as they are, turned by quarters, and all of these mirrored: eight times [n, side, side, 3]."""
    for turns in range(4):
        turned = np.rot90(images, turns, (1, 2))
        yield turned
        yield turned[:, :, ::-1]


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
    pair = np.stack([first, second]).astype(np.float32)
    left, right = _normalised(pair)
    correlation = float(np.dot(left, right))
    close = float(np.abs(pair[0] - pair[1]).mean()) < _CLOSE
    return correlation if correlation > _SAME or (correlation > _ALIKE and close) else 0.0


def _pooled(images: Thumbnails) -> NDArray[np.float32]:
    """Averaged over 4 x 4 pixels: [n, 8, 8, 3]."""
    blocks = images.reshape(len(images), SIDE // 4, 4, SIDE // 4, 4, 3)
    pooled: NDArray[np.float32] = blocks.mean(axis=(2, 4), dtype=np.float32)
    return pooled


def _normalised(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """A row for each image, without its mean, of length 1; those of one colour become 0."""
    rows = images.reshape(len(images), -1)
    centred = rows - rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    unit: NDArray[np.float32] = np.where(length > rows.shape[1] ** 0.5, centred / np.maximum(length, 1e-6), 0)
    return unit
