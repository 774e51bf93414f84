"""The five groups of object sizes: which sizes each holds, and the size of its anchors. Numpy only.

"Multi-scale Network Architecture Search for Object Detection", section 3.2 and Fig. 2b, places them for COCO, each
twice as large as the one before. `SizeGroups.of_boxes` places them by the boxes of a data set.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray

from msnas.data.geometry import ANCHOR_SIZES, BASE_SCALE, GROUPS, REFERENCE_SHORT_SIDE, Floats
from msnas.errors import ConfigError

APART = 1.25  # least ratio of one border to the one before it
FEW = 0.01  # share of the boxes below which a group counts as empty


@dataclass(frozen=True)
class SizeGroups:
    """Sizes are sides, the square root of a box's area, in pixels of the resized image.

    borders (4): a group holds what is not below the border before it and is below its own. anchors (5): one size a
    group. Raises ConfigError where they are not so many, not positive, or do not rise.
    """

    borders: tuple[float, ...]
    anchors: tuple[float, ...]

    def __post_init__(self) -> None:
        for name, number in (("borders", GROUPS - 1), ("anchors", GROUPS)):
            sizes = tuple(getattr(self, name))
            if len(sizes) != number or not all(low < high for low, high in pairwise((0, *sizes))):
                raise ConfigError(f"{name} of size groups must be {number} positive sizes, rising, but got {sizes}.")
            object.__setattr__(self, name, sizes)

    @classmethod
    def paper(cls, short_side: int, anchor_scale: float | None = None, base_scale: float | None = None) -> Self:
        """The published ones. anchor_scale: of the sizes at 800 pixels, None: short_side / 800; base_scale: side of a
        region of k = 4 in pixels, None: 224 * anchor_scale.
        """
        scale = anchor_scale or short_side / REFERENCE_SHORT_SIDE
        middle = base_scale or BASE_SCALE * scale
        return cls(tuple(middle * 2.0**k for k in (-2, -1, 0, 1)), tuple(scale * size for size in ANCHOR_SIZES))

    @classmethod
    def of_boxes(cls, areas: Floats) -> Self:
        """Borders at the quintiles of the areas [n], n > 0, in log size and APART at least; anchors at the medians.

        Where boxes are so alike that a group has none, its anchor is its middle.
        """
        sides = np.log(areas) / 2
        borders = _apart(np.quantile(sides, np.arange(1, GROUPS) / GROUPS), np.log(APART))
        edges = np.array([borders[0] - np.log(APART), *borders, borders[-1] + np.log(APART)])
        groups = np.searchsorted(borders, sides, side="right")
        held = [sides[groups == group] for group in range(GROUPS)]
        anchors = [np.median(own) if len(own) else edges[i : i + 2].mean() for i, own in enumerate(held)]
        return cls(tuple(np.exp(borders).tolist()), tuple(np.exp(anchors).tolist()))

    def of(self, areas: Floats) -> NDArray[np.int64]:
        """The group 0..4 of boxes with these areas [n], square pixels."""
        groups: NDArray[np.int64] = np.searchsorted(np.array(self.borders), np.sqrt(areas), side="right")
        return groups

    def shares(self, areas: Floats) -> Floats:
        """The share of the boxes with these areas [n] that each group holds, [5]."""
        number: Floats = np.bincount(self.of(areas), minlength=GROUPS).astype(np.float64)
        return number / max(len(areas), 1)


def _apart(values: Floats, gap: float) -> Floats:
    """The values nearest to rising `values` (least squares) that are `gap` apart at least: isotonic regression."""
    places = range(len(values))
    steps = gap * np.arange(len(values))
    free = values - steps  # must not fall
    nearest: Floats = np.array(
        [max(min(free[first : last + 1].mean() for last in places[i:]) for first in places[: i + 1]) for i in places]
    )
    return nearest + steps
