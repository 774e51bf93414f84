"""The few statistics of a report: the interval of Kendall's tau, and mean, spread and standard error."""

import math
from collections.abc import Sequence

import numpy as np

from evolution.ranking import kendall_tau

RESAMPLES = 2000
LEVEL = 0.95
FEWEST = 4  # pairs below which an interval of tau says nothing


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


def mean(values: Sequence[float]) -> float:
    """nan where there are none."""
    return sum(values) / len(values) if values else math.nan


def deviation(values: Sequence[float]) -> float:
    """The sample's standard deviation; nan where there is only one value."""
    if len(values) < 2:
        return math.nan
    centre = mean(values)
    return math.sqrt(sum((value - centre) ** 2 for value in values) / (len(values) - 1))


def standard_error(values: Sequence[float]) -> float:
    """Of the mean; nan where there is only one value."""
    return deviation(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
