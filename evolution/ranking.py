"""How well one ranking agrees with another."""

from collections.abc import Sequence
from math import sqrt

import numpy as np
import numpy.typing as npt

RESAMPLES = 2000
LEVEL = 0.95
FEWEST = 4  # pairs below which an interval of tau says nothing


def kendall_tau(first: npt.ArrayLike, second: npt.ArrayLike) -> float | None:
    """Kendall's tau-b of paired values [n], in [-1, 1]; None where either side has no two different values.

    Kendall, "The treatment of ties in ranking problems", Biometrika 33 (1945). Memory grows with n^2.
    """
    a, b = _order(first), _order(second)
    assert a.shape == b.shape, "values must come in pairs"
    untied = sqrt(np.count_nonzero(a) * np.count_nonzero(b))
    return float((a * b).sum()) / untied if untied else None


def _order(values: npt.ArrayLike) -> npt.NDArray[np.int8]:
    """Which of each two values is larger, [n, n]: 1, 0 or -1."""
    column = np.asarray(values)[:, None]
    return (column > column.T).astype(np.int8) - (column < column.T)


def tau_interval(first: Sequence[float], second: Sequence[float]) -> tuple[float, float] | None:
    """The bootstrap's percentile interval of tau over pairs; None where there are too few or all are tied."""
    if len(first) < FEWEST:
        return None
    rng = np.random.default_rng(0)  # the same run gives the same page
    drawn = [rng.integers(0, len(first), len(first)).tolist() for _ in range(RESAMPLES)]
    taus = [kendall_tau([first[i] for i in rows], [second[i] for i in rows]) for rows in drawn]
    known = [tau for tau in taus if tau is not None]
    if len(known) < RESAMPLES / 2:
        return None
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
