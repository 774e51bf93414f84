"""Ways of links in drawings: curves that leave and arrive level, and run through as little as can be."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

Point = tuple[float, float]
_T = np.linspace(0, 1, 32)[1:-1]
_WEIGHTS = np.stack(((1 - _T) ** 3, 3 * _T * (1 - _T) ** 2, 3 * _T**2 * (1 - _T), _T**3), axis=1)  # [30, 4]
_REACHES = (0.3, 0.5, 0.7, 0.9)  # how far a curve goes on as it began, and as it ends, as shares of its length
_SHIFTS = np.arange(-6, 7) * 0.25  # how far it bows up or down at either end, inches


class Rectangle(NamedTuple):
    """What a link should not run through: its middle, half its width, half its height."""

    x: float
    y: float
    half_width: float
    half_height: float


class Curve(NamedTuple):
    """A cubic Bezier curve."""

    start: Point
    leaving: Point
    arriving: Point
    end: Point


def best_curve(start: Point, end: Point, obstacles: Sequence[Rectangle], *, top: float, bottom: float) -> Curve:
    """The plainest curve from left to right that stays between `top` and `bottom` and meets the fewest obstacles."""
    length = max(end[0] - start[0], 0.2)
    leave, arrive, up, down = (
        grid.ravel() for grid in np.meshgrid(_REACHES, _REACHES, _SHIFTS, _SHIFTS, indexing="ij")
    )
    controls = np.empty((len(leave), 4, 2))
    controls[:, 0], controls[:, 3] = start, end
    controls[:, 1] = np.stack((start[0] + leave * length, start[1] + up), axis=1)
    controls[:, 2] = np.stack((end[0] - arrive * length, end[1] + down), axis=1)
    ways = np.einsum("tc,ncd->ntd", _WEIGHTS, controls)  # [curves, points, 2]
    hits = ((ways[..., 1] < top) | (ways[..., 1] > bottom)).sum(1).astype(float)
    for x, y, half_width, half_height in obstacles:
        inside = (np.abs(ways[..., 0] - x) < half_width) & (np.abs(ways[..., 1] - y) < half_height)
        hits += inside.sum(1) / 4 + inside.any(1)
    effort = np.abs(up) + np.abs(down) + 0.3 * (np.abs(leave - 0.5) + np.abs(arrive - 0.5))
    best = controls[np.lexsort((effort, hits))[0]]
    return Curve(*((float(x), float(y)) for x, y in best))
