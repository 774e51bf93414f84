"""How well one ranking agrees with another."""

from collections.abc import Sequence
from math import sqrt


def kendall_tau(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Kendall's tau-b of paired values, in [-1, 1]; None where either side has no two different values.

    Kendall, "The treatment of ties in ranking problems", Biometrika 33 (1945).
    """
    assert len(first) == len(second), "values must come in pairs"
    pairs = [(i, j) for i in range(len(first)) for j in range(i)]
    a = [_sign(first[i] - first[j]) for i, j in pairs]
    b = [_sign(second[i] - second[j]) for i, j in pairs]
    untied = sqrt(sum(x != 0 for x in a) * sum(y != 0 for y in b))
    return sum(x * y for x, y in zip(a, b, strict=True)) / untied if untied else None


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
