"""Mean, standard deviation and standard error of a few numbers."""

import math
from collections.abc import Sequence


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
