"""The groups of object sizes: the paper's, and those that boxes place."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msnas.data.size_groups import APART, SizeGroups
from msnas.errors import ConfigError

SIDES = st.lists(st.floats(1, 2000), min_size=1, max_size=60).map(np.array)


def of_sides(sides):
    return SizeGroups.of_boxes(np.asarray(sides, float) ** 2)


def ratios(sizes):
    return [high / low for low, high in pairwise(sizes)]


def test_the_paper_s_groups_double_from_56_pixels_at_800():
    assert SizeGroups.paper(800) == SizeGroups((56, 112, 224, 448), (32, 64, 128, 256, 512))


def test_the_paper_s_groups_follow_the_two_scales():
    assert SizeGroups.paper(800, 0.5, 24) == SizeGroups((6, 12, 24, 48), (16, 32, 64, 128, 256))


def test_borders_are_the_quintiles_in_log_size():
    groups = of_sides(2.0 ** np.arange(11))
    assert groups.borders == pytest.approx((4, 16, 64, 256))
    assert groups.anchors == pytest.approx((2**0.5, 2**2.5, 2**4.5, 2**6.5, 2**9))  # medians of two and of three


def test_each_group_holds_a_fifth_of_boxes_of_all_sizes():
    sides = np.exp(np.random.default_rng(0).normal(3, 1, 5000))
    assert of_sides(sides).shares(sides**2) == pytest.approx([0.2] * 5, abs=0.001)


def test_boxes_of_one_size_lie_in_the_middle_of_groups_that_are_apart():
    groups = of_sides([40.0] * 9)
    assert groups.borders == pytest.approx([40 * APART**k for k in (-1.5, -0.5, 0.5, 1.5)])
    assert groups.anchors == pytest.approx([40 * APART**k for k in (-2, -1, 0, 1, 2)])
    assert groups.shares(np.array([1600.0])).tolist() == [0, 0, 1, 0, 0]


def test_borders_that_are_too_close_move_apart_and_the_others_stay():
    groups = of_sides([10.0] * 2 + [20.0] * 4 + [90.0] * 2 + [400.0] * 2)  # quintiles near 18, 20, 38, 152
    free = np.exp(np.quantile(np.log([10.0] * 2 + [20.0] * 4 + [90.0] * 2 + [400.0] * 2), [0.2, 0.4, 0.6, 0.8]))
    assert groups.borders[2:] == pytest.approx(free[2:])
    assert groups.borders[1] / groups.borders[0] == pytest.approx(APART)
    assert groups.borders[0] * groups.borders[1] == pytest.approx(free[0] * free[1])


@given(SIDES)
def test_borders_are_always_apart_and_each_anchor_lies_in_its_group(sides):
    groups = of_sides(sides)
    assert min(ratios(groups.borders)) > APART - 1e-9
    for anchor, low, high in zip(groups.anchors, [0, *groups.borders], [*groups.borders, np.inf], strict=True):
        assert low * (1 - 1e-9) <= anchor <= high * (1 + 1e-9)


@pytest.mark.parametrize(
    ("borders", "anchors", "rule"),
    [
        ((1, 2, 3), (1, 2, 3, 4, 5), "borders of size groups must be 4 positive sizes, rising, but got"),
        ((1, 2, 3, 3), (1, 2, 3, 4, 5), "borders"),
        ((1, 2, 3, 4), (0, 2, 3, 4, 5), "anchors of size groups must be 5 positive"),
    ],
)
def test_other_groups_are_refused(borders, anchors, rule):
    with pytest.raises(ConfigError, match=rule):
        SizeGroups(borders, anchors)
