"""Kendall's tau-b against numbers that are known."""

from math import sqrt

import numpy as np
import pytest

from evolution.ranking import bootstrap, grouped_tau, grouped_taus, kendall_tau, tau_bound


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


def test_tau_of_one_group_of_all_is_tau():
    first, second = [3, 1, 2, 5], [1, 2, 3, 4]
    assert grouped_tau(first, second, [range(4)]) == kendall_tau(first, second)


def test_a_group_weighs_as_many_pairs_as_it_has():
    first, second = [1, 2, 3, 1, 2], [1, 2, 3, 2, 1]  # three pairs in order, one reversed
    assert grouped_tau(first, second, [[0, 1, 2], [3, 4]]) == pytest.approx((3 - 1) / 4)


def test_taus_of_draws_are_those_of_each_draw():
    first, second = [3, 1, 2, 5, 5, 9, 7], [1, 2, 3, 3, 4, 6, 0]
    draws = [np.array([[0, 1, 2, 3], [3, 3, 0, 1], [2, 2, 2, 2]]), np.array([[4, 5, 6], [6, 6, 4], [5, 5, 5]])]
    each = [grouped_tau(first, second, groups) for groups in zip(*draws, strict=True)]
    assert each[-1] is None
    assert grouped_taus(first, second, draws).tolist() == pytest.approx([*each[:-1], np.nan], nan_ok=True)


def test_every_group_is_drawn_from_itself():
    drawn = []
    bootstrap([[0, 1, 2], [3, 4]], lambda groups: drawn.extend(groups) or np.zeros(len(groups[0])))
    first, second = drawn
    assert (set(first.flat), set(second.flat)) == ({0, 1, 2}, {3, 4})
    assert (first.shape[1], second.shape[1]) == (3, 2)


@pytest.mark.parametrize("noise", [0.3, 1.0])
@pytest.mark.parametrize("trainings", [2, 3])
def test_a_perfect_score_has_the_tau_of_the_bound(noise, trainings):
    rng = np.random.default_rng(0)
    quality = rng.normal(size=1500)
    runs = quality + noise * rng.normal(size=(trainings, 1500))
    bound = tau_bound(kendall_tau(runs[0], runs[1]), trainings)
    assert bound == pytest.approx(kendall_tau(quality, runs.mean(axis=0)), abs=0.025)
    assert bound > kendall_tau(runs[0], runs[1])


def test_trainings_that_do_not_agree_bound_nothing():
    assert tau_bound(-0.1, 2) is None
    assert tau_bound(None, 2) is None
