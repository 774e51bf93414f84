"""How well one ranking agrees with another."""

from math import sqrt

import numpy as np
import numpy.typing as npt


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
