"""How well one ranking agrees with another."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import asin, comb, pi, sin, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

RESAMPLES = 2000
LEVEL = 0.95
FEWEST = 4  # pairs below which an interval of tau says nothing

Draws = Sequence[npt.NDArray[np.int64]]  # each group's indices drawn again and again, [draws, size of the group]
Values = npt.NDArray[np.float64]  # of a statistic by draw, [draws], nan where it is unknown


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
    return bootstrap([range(len(first))], lambda draws: grouped_taus(first, second, draws))


def grouped_tau(first: Sequence[float], second: Sequence[float], groups: Sequence[Sequence[int]]) -> float | None:
    """Mean of Kendall's tau within groups of indices, each weighted by its number of pairs; None where none is known.

    With one group of all indices it is Kendall's tau.
    """
    taus = [(kendall_tau([first[i] for i in rows], [second[i] for i in rows]), comb(len(rows), 2)) for rows in groups]
    known = [(tau, pairs) for tau, pairs in taus if tau is not None]
    return sum(tau * pairs for tau, pairs in known) / sum(pairs for _, pairs in known) if known else None


def grouped_taus(first: Sequence[float], second: Sequence[float], draws: Draws) -> Values:
    """`grouped_tau` of every draw, nan where none is known. Memory grows with n^2 of the values, not of the draws."""
    a, b = _order(first), _order(second)
    taus = []
    for rows in draws:
        times = _times_drawn(rows, len(a))
        agreeing, untied_a, untied_b = (((times @ signs) * times).sum(axis=1) for signs in (a * b, abs(a), abs(b)))
        with np.errstate(invalid="ignore"):  # 0 / 0: no two different values were drawn
            taus.append(agreeing / np.sqrt(untied_a * untied_b))
    return mean_of_known(taus, weights=[comb(rows.shape[1], 2) for rows in draws])


def _times_drawn(rows: npt.NDArray[np.int64], n: int) -> Values:
    """How often each of `n` indices is in each draw, [draws, n]."""
    offsets = n * np.arange(len(rows))[:, None]
    return np.bincount((rows + offsets).ravel(), minlength=n * len(rows)).reshape(-1, n).astype(np.float64)


def mean_of_known(values: Sequence[Values], weights: Sequence[float] | None = None) -> Values:
    """The mean over several values of each draw, without those that are nan; nan where all are."""
    average: Any = np.ma.average(np.ma.masked_invalid(values), axis=0, weights=weights)
    mean: Values = average.filled(np.nan)
    return mean


def bootstrap(groups: Sequence[Sequence[int]], statistic: Callable[[Draws], Values]) -> tuple[float, float] | None:
    """The percentile interval of a statistic of groups of indices, when each group is drawn again from itself.

    None where all groups together are too small, or the statistic is unknown of most draws.
    """
    if sum(map(len, groups)) < FEWEST:
        return None
    places = _drawn_places(tuple(map(len, groups)))
    values = statistic([np.asarray(rows)[drawn] for rows, drawn in zip(groups, places, strict=True)])
    known = values[~np.isnan(values)]
    if len(known) < RESAMPLES / 2:
        return None
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


@lru_cache(maxsize=16)  # every column of a table draws the same
def _drawn_places(sizes: tuple[int, ...]) -> Draws:
    rng = np.random.default_rng(0)  # the same run gives the same page
    drawn = [[rng.integers(0, size, size) for size in sizes] for _ in range(RESAMPLES)]
    return [np.stack(places) for places in zip(*drawn, strict=True)]


def tau_bound(reliability: float | None, trainings: int) -> float | None:
    """The tau that a perfect score can expect against the mean of `trainings` noisy ones; None at reliability <= 0.

    reliability: tau between two trainings. Tau as a correlation r = sin(pi tau / 2) (Greiner 1909), reliability of
    the mean by Spearman-Brown (1910), its square root the bound (Spearman's attenuation, 1904), and back: exact for
    normal values, else an approximation.
    """
    if reliability is None or reliability <= 0:
        return None
    r = sin(pi * reliability / 2)
    of_mean = trainings * r / (1 + (trainings - 1) * r)
    return 2 / pi * asin(sqrt(of_mean))
