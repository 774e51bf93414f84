"""Kendall's tau-b against numbers that are known."""

from math import sqrt

import pytest

from evolution.ranking import kendall_tau


def test_equal_order_gives_one():
    assert kendall_tau([1, 2, 3], [10, 20, 30]) == 1


def test_reversed_order_gives_minus_one():
    assert kendall_tau([1, 2, 3], [3, 2, 1]) == -1


def test_a_tied_pair_counts_in_the_denominator_only():
    # 45 pairs, one of them tied in `first`, all others in the same order
    first = [0, 1, 2, 3, 4, 5, 6, 7, 8, 8]
    second = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert kendall_tau(first, second) == pytest.approx(44 / sqrt(44 * 45))


def test_without_two_different_values_there_is_no_tau():
    assert kendall_tau([1, 1], [1, 2]) is None
