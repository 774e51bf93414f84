"""A budget's bounds are exact integers; what is no budget is refused."""

import numpy as np
import pytest

from supernet.cost import Cost
from supernet.errors import SpaceError
from supernet.space import Budget


@pytest.mark.parametrize(
    ("target", "tolerance", "low", "high"),
    [
        (145.45e9, 0.01, 143_995_500_000, 146_904_500_000),
        (145_450_000_000, 0.01, 143_995_500_000, 146_904_500_000),
        (np.float64(145.45e9), np.float64(0.01), 143_995_500_000, 146_904_500_000),
        (1000, 0.001, 999, 1001),
        (1000, 0, 1000, 1000),
        (10**24 + 1, 0, 10**24 + 1, 10**24 + 1),
        (99.5, 0.01, 99, 100),
    ],
)
def test_bounds_are_exact_and_inclusive(target, tolerance, low, high):
    budget = Budget("macs", target, tolerance)
    assert (budget.low, budget.high) == (low, high)


def test_a_ceiling_has_no_tolerance_and_no_floor():
    budget = Budget("params", 10.9e6, 0.5, mode="ceiling")
    assert (budget.low, budget.high) == (0, 10_900_000)


def test_a_budget_holds_the_costs_inside_in_its_own_metric():
    budget = Budget("params", 100, 0.1)
    assert [budget.holds(Cost(5, params)) for params in (89, 90, 110, 111)] == [False, True, True, False]


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({"metric": "flops"}, "macs, params"),
        ({"mode": "floor"}, "target, ceiling"),
        ({"target": 0}, "positive"),
        ({"target": -5}, "positive"),
        ({"target": float("inf")}, "positive"),
        ({"target": float("nan")}, "positive"),
        ({"target": "145e9"}, "positive"),
        ({"target": True}, "positive"),
        ({"target": None}, "positive"),
        ({"tolerance": -0.1}, "tolerance"),
        ({"tolerance": 1}, "tolerance"),
        ({"tolerance": None}, "tolerance"),
        ({"tolerance": float("nan")}, "tolerance"),
    ],
    ids=str,
)
def test_what_is_no_budget_is_refused(wrong, rule):
    with pytest.raises(SpaceError, match=rule):
        Budget(**{"metric": "macs", "target": 100, **wrong})
