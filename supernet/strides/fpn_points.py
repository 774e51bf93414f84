"""The points of a stride space that are built like known detectors: an SSD, which goes down only, and an FPN.

Single Shot MultiBox Detector, arXiv 1512.02325; Feature Pyramid Networks, arXiv 1612.03144. Genes and levels are those
of `StrideSpace`.
"""

from collections.abc import Iterator
from itertools import combinations, pairwise

import numpy as np

from supernet.errors import SpaceError
from supernet.strides.architecture import NUM_LEVELS
from supernet.strides.counting.path_rules import Ints

HALF, KEEP, DOUBLE = range(3)  # genes of the block strides 0.5, 1 and 2
TOP = NUM_LEVELS - 1


def ssd_paths(depth: int) -> Ints:
    """Every path [n, N] that keeps or halves the map, visits all five levels and whose first block keeps.

    Raises SpaceError where there is none.
    """
    _check_depth(depth, NUM_LEVELS, "An SSD-like path")
    halving = np.array(list(combinations(range(1, depth), TOP)))
    paths = np.full((len(halving), depth), KEEP)
    np.put_along_axis(paths, halving, DOUBLE, axis=1)
    return paths


def fpn_paths(depth: int, first: int, finest: int, *, behind_stem: bool) -> Ints:
    """A path [n, N] for every cost that monotone paths from level `first` to the top, and back to `finest`, can have.

    Behind a stem the first block keeps, so that the finest level too has a stage that ended, for its lateral. Blocks
    that keep cost the same on both ways, so that they stand on the first of the two that passes their level; but at
    `first` behind a prefix, where it matters whether the first block keeps, on either. Raises SpaceError where the
    space has too few blocks.
    """
    least = behind_stem + (TOP - first) + (TOP - finest)
    _check_depth(depth, least, "An FPN-like path")
    levels = range(finest, TOP + 1)
    rows = []
    for numbers in _compositions(depth - least, len(levels)):
        kept = dict(zip(levels, numbers, strict=True))
        kept[first] += behind_stem
        rows.append(_down(kept, first, kept[first]) + _up(kept, first, finest, 0))
        if kept[first] and not behind_stem:
            rows.append(_down(kept, first, 0) + _up(kept, first, finest, kept[first]))
    return np.array(rows, np.int64)


def _down(kept: dict[int, int], first: int, at_first: int) -> list[int]:
    path = [KEEP] * at_first
    for level in range(first + 1, TOP + 1):
        path += [DOUBLE] + [KEEP] * kept[level]
    return path


def _up(kept: dict[int, int], first: int, finest: int, at_first: int) -> list[int]:
    path = []
    for level in reversed(range(finest, TOP)):
        path += [HALF] + [KEEP] * (kept[level] if level < first else at_first if level == first else 0)
    return path


def _compositions(total: int, parts: int) -> Iterator[tuple[int, ...]]:
    """All ways to write `total` as a sum of `parts` numbers >= 0, in order."""
    for bars in combinations(range(total + parts - 1), parts - 1):
        yield tuple(after - before - 1 for before, after in pairwise((-1, *bars, total + parts - 1)))


def _check_depth(depth: int, least: int, what: str) -> None:
    if depth < least:
        raise SpaceError(f"{what} needs at least {least} blocks here, but this space has depth={depth}.")
