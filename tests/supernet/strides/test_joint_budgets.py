"""Several budgets at once: the first is counted in the tables, the others are checked."""

import numpy as np
import pytest
from enumeration import assert_uniform, every_draw, small_space, valid_genomes

from supernet.cost import Cost
from supernet.errors import SpaceError
from supernet.space import Budget
from supernet.strides.counting import joint_interval, path_neighbours

FEW_PARAMS = Budget("params", 23_900, mode="ceiling")
BOTH = Budget("macs", 22_000_000, 0.05, also=(FEW_PARAMS,))


@pytest.fixture(params=["listed", "rejected"])
def space(request, monkeypatch):
    if request.param == "rejected":
        monkeypatch.setattr(joint_interval, "LISTED", 0)
        monkeypatch.setattr(path_neighbours, "WHOLE", -1)
        monkeypatch.setattr(path_neighbours, "LISTED", -1)
    return small_space(depth=4).within(BOTH)


def members():
    space = small_space(depth=4)
    return [genome for genome in valid_genomes(space) if BOTH.holds(space.cost(genome))]


def test_the_second_budget_is_not_empty_talk():
    first = small_space(depth=4).count(Budget("macs", 22_000_000, 0.05))
    assert 20 < len(members()) < first / 2


def test_a_budget_holds_only_where_all_of_them_hold():
    assert BOTH.holds(Cost(22_000_000, 23_900))
    assert not BOTH.holds(Cost(22_000_000, 23_901))
    assert not BOTH.holds(Cost(1, 23_900))


def test_its_text_names_all_of_them():
    assert str(BOTH) == "macs in 20,900,000..23,100,000 and params in 0..23,900"


def test_draws_are_uniform_over_what_keeps_both(space):
    rng = np.random.default_rng(0)
    assert_uniform([space.sample(rng) for _ in range(60 * len(members()))], members())


def test_the_count_is_exact_where_it_can_be_listed():
    space = small_space(depth=4).within(BOTH)
    assert space.count() == len(members())
    assert space.counted == "exactly"


def test_a_count_that_is_estimated_says_so_and_is_near(monkeypatch):
    monkeypatch.setattr(joint_interval, "LISTED", 0)
    space = small_space(depth=4).within(BOTH)
    assert "20,000 draws" in space.counted
    assert space.count() == pytest.approx(len(members()), rel=0.1)


def test_validity_knows_both(space):
    genomes = valid_genomes(small_space(depth=4))
    assert [genome for genome in genomes if space.is_valid(genome)] == members()
    assert space.valid(genomes).tolist() == [space.is_valid(genome) for genome in genomes]


@pytest.mark.parametrize("section", ["encoder", "heads"])
def test_children_keep_both(space, section):
    rng = np.random.default_rng(0)
    born = [space.neighbour([space.sample(rng)], section, 2, rng) for _ in range(60)]
    delivered = [child for child in born if child is not None]
    assert len(delivered) > 10
    assert all(space.is_valid(child) for child in delivered)


def test_every_listed_child_that_keeps_both_is_drawn_once():
    space = small_space(depth=4).within(BOTH)
    parent = members()[0]
    wanted = [g for g in members() if g[4:] == parent[4:] and g != parent]
    assert sorted(every_draw(lambda rng: space.neighbour([parent], "encoder", 4, rng))) == wanted


@pytest.mark.parametrize("listed", [0, 300_000])
def test_budgets_that_exclude_each_other_are_refused_with_what_there_is(monkeypatch, listed):
    monkeypatch.setattr(joint_interval, "LISTED", listed)
    with pytest.raises(SpaceError, match=r"macs in 20,900,000..23,100,000 have params in \d"):
        small_space(depth=4).within(Budget("macs", 22_000_000, 0.05, also=(Budget("params", 10**9),)))


def test_two_budgets_on_one_metric_are_refused():
    with pytest.raises(SpaceError, match="different metrics"):
        Budget("macs", 5, also=(Budget("macs", 6),))
