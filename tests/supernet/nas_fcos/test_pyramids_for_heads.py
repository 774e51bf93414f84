"""Pyramids inside a budget that heads are searched on afterwards: some head must fit on each."""

import numpy as np
import pytest

from supernet.errors import BudgetError
from supernet.nas_fcos import pyramids_for_heads
from supernet.nas_fcos.head_space import HeadSpace
from supernet.nas_fcos.pyramid_space import PyramidSpace
from supernet.nas_fcos.pyramids_for_heads import PyramidsForHeads
from supernet.space import Budget

SMALL = {"backbone": "resnet18", "input_size": (64, 64), "num_classes": 4}
PYRAMIDS, HEADS = PyramidSpace(channels=8, **SMALL), HeadSpace(channels=16, **SMALL)


@pytest.fixture(scope="module")
def ceiling():
    """The median of what pyramids cost: some of those inside leave no room for a head, which is wider."""
    rng = np.random.default_rng(0)
    return Budget("macs", int(np.median([PYRAMIDS.cost(PYRAMIDS.sample(rng)).macs for _ in range(99)])), mode="ceiling")


@pytest.fixture(scope="module")
def bounded(ceiling):
    return PyramidsForHeads.of(PYRAMIDS.within(ceiling), HEADS)


def test_some_head_fits_on_every_pyramid_that_is_drawn(bounded, ceiling):
    rng = np.random.default_rng(1)
    for _ in range(10):
        pyramid = bounded.decode(bounded.sample(rng))
        assert HEADS.on(pyramid).within(ceiling).sample(rng)


def test_a_pyramid_inside_the_budget_that_no_head_fits_on_is_not_valid(bounded):
    inside = PYRAMIDS.within(bounded.budget)
    rng = np.random.default_rng(1)
    drawn = [inside.sample(rng) for _ in range(100)]
    without = [g for g in drawn if HEADS.on(inside.decode(g)).cost_range()[0] > bounded.budget.high]
    assert without
    assert not any(map(bounded.is_valid, without))


def test_a_neighbour_has_a_head_that_fits_too(bounded):
    rng = np.random.default_rng(2)
    child = bounded.neighbour([bounded.sample(rng)], "pyramid", 2, rng)
    assert child is None or HEADS.on(bounded.decode(child)).cost_range()[0] <= bounded.budget.high


def test_a_budget_that_no_head_fits_into_is_one_error_that_names_the_nearest(ceiling, monkeypatch):
    monkeypatch.setattr(pyramids_for_heads, "TRIES", 30)
    wide = PyramidsForHeads.of(PYRAMIDS.within(ceiling), HeadSpace(channels=64, **SMALL))
    with pytest.raises(BudgetError, match=r"Some head of 64 channels must fit into macs .* the nearest has [\d,]+;"):
        wide.sample(np.random.default_rng(0))


def test_the_heads_belong_to_what_the_space_is(bounded):
    assert bounded.described()["heads"] == HEADS.described()
    assert bounded.described()["budget"] == str(bounded.budget)
