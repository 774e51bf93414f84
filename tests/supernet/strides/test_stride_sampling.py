"""Draws from a stride space: every architecture exactly once among the numbers, with and without a budget."""

import pickle
import re
from itertools import pairwise

import numpy as np
import pytest
from enumeration import assert_uniform, every_draw, small_space, valid_genomes
from hypothesis import given, settings
from hypothesis import strategies as st

from supernet.errors import SpaceError
from supernet.space import Budget
from supernet.strides.stride_space import StrideSpace

VARIANTS = {
    "published": {},
    "bottleneck": {"block": "bottleneck"},
    "stride 2": {"base_stride": 2},
    "rules off": {"head_rules": False},
    "fixed heads": {"heads": (4, 4, 8, 16, 16)},
    "dead blocks": {"live": False},
    "tied heads": {"tied": (2, 5)},
}
R18 = StrideSpace(block="basic", depth=13, channels=180)
TARGET = Budget("macs", 145.45e9, 0.01)


@pytest.fixture(params=VARIANTS, ids=str)
def space(request):
    return small_space(**VARIANTS[request.param])


def inside(space, budget):
    return [genome for genome in valid_genomes(space) if budget.holds(space.cost(genome))]


def middle_budget(space, metric, mode="target"):
    genomes = valid_genomes(space)
    return Budget(metric, getattr(space.cost(genomes[len(genomes) // 3]), metric), 0.1, mode)


def test_each_number_draws_another_architecture_and_all_are_drawn(space):
    assert sorted(every_draw(space.sample)) == valid_genomes(space)


@pytest.mark.parametrize("mode", ["target", "ceiling"])
@pytest.mark.parametrize("metric", ["macs", "params"])
def test_inside_a_budget_each_number_draws_another_architecture(space, metric, mode):
    budget = middle_budget(space, metric, mode)
    drawn = every_draw(space.within(budget).sample)
    assert len(drawn) > 20
    assert sorted(drawn) == inside(space, budget)


def test_draws_are_uniform_by_chi_square(space):
    rng = np.random.default_rng(11)
    bounded = space.within(middle_budget(space, "macs"))
    population = inside(space, bounded.budget)
    assert_uniform([bounded.sample(rng) for _ in range(30 * len(population))], population)


def test_draws_at_full_size_are_valid_and_inside():
    bounded, rng = R18.within(TARGET), np.random.default_rng(0)
    genomes = [bounded.sample(rng) for _ in range(2000)]
    assert len(set(genomes)) > 1960
    assert R18.valid(genomes).all()
    assert all(bounded.is_valid(genome) for genome in genomes)
    assert bounded.valid(genomes).all()


def test_the_same_generator_draws_the_same_architectures():
    first, second = np.random.default_rng(5), np.random.default_rng(5)
    assert [R18.sample(first) for _ in range(20)] == [R18.sample(second) for _ in range(20)]


def test_uniform_draws_have_the_enumerated_mean_cost(space):
    rng = np.random.default_rng(3)
    costs, _ = space.costs(valid_genomes(space))
    drawn, _ = space.costs([space.sample(rng) for _ in range(4000)])
    assert abs(drawn.mean() - costs.mean()) < 5 * costs.std() / np.sqrt(4000)


def test_a_walk_chooses_each_stride_uniformly_among_the_valid():
    rng = np.random.default_rng(0)
    walks = [R18.walk(rng) for _ in range(3000)]
    firsts = np.bincount([walk[0] for walk in walks], minlength=3) / 3000
    after_two = np.bincount([walk[1] for walk in walks if walk[0] == 2], minlength=3)
    assert abs(firsts - [0, 0.5, 0.5]).max() < 0.05
    assert abs(after_two / after_two.sum() - 1 / 3).max() < 0.07
    assert R18.valid(walks).all()


def test_a_walk_is_biased_to_high_resolution_as_the_paper_s_space_is():
    rng = np.random.default_rng(0)
    walk, _ = R18.costs([R18.walk(rng) for _ in range(4000)])
    uniform, _ = R18.costs([R18.sample(rng) for _ in range(4000)])
    assert walk.mean() == pytest.approx(245e9, rel=0.03)
    assert uniform.mean() < 200e9


def test_a_walk_inside_a_budget_ends_inside():
    bounded, rng = R18.within(TARGET), np.random.default_rng(0)
    assert all(bounded.is_valid(bounded.walk(rng)) for _ in range(200))


def test_allowed_inside_a_budget_walks_through_exactly_what_is_inside(space):
    bounded = space.within(middle_budget(space, "macs"))

    def complete(prefix):
        if len(prefix) == len(space.cardinalities):
            return [prefix]
        return [genome for gene in bounded.allowed(prefix) for genome in complete((*prefix, gene))]

    assert complete(()) == inside(space, bounded.budget)


def test_validity_inside_a_budget_is_validity_and_cost(space):
    bounded = space.within(middle_budget(space, "params"))
    expected = [bounded.budget.holds(space.cost(genome)) for genome in valid_genomes(space)]
    assert [bounded.is_valid(genome) for genome in valid_genomes(space)] == expected
    assert bounded.valid(valid_genomes(space)).tolist() == expected


@pytest.mark.parametrize("metric", ["macs", "params"])
def test_an_empty_budget_names_the_nearest_costs(space, metric):
    costs = sorted({getattr(space.cost(genome), metric) for genome in valid_genomes(space)})
    low, high = max(pairwise(costs), key=lambda pair: pair[1] - pair[0])
    with pytest.raises(SpaceError, match=f"nearest have {low:,} and {high:,}"):
        space.within(Budget(metric, (low + high) // 2, 0))


def test_a_budget_beside_the_space_names_the_end():
    low, high = R18.cost_range()
    with pytest.raises(SpaceError, match=re.escape(f"nearest have {low:,}.")):
        R18.within(Budget("macs", 1e9, mode="ceiling"))
    for target in (1e15, 1e30):
        with pytest.raises(SpaceError, match=re.escape(f"nearest have {high:,}.")):
            R18.within(Budget("macs", target))
    assert R18.within(Budget("macs", 1e30, mode="ceiling")).count() == R18.count()


def test_bounds_are_inclusive_on_both_sides():
    low, high = R18.cost_range()
    assert R18.count(Budget("macs", high, mode="ceiling")) == R18.count()
    assert R18.count(Budget("macs", high - 1, mode="ceiling")) < R18.count()
    assert R18.count(Budget("macs", low, 0)) >= 1


@settings(max_examples=40, deadline=None)
@given(st.floats(0, 1), st.sampled_from(["macs", "params"]), st.integers(0, 2**32), st.integers(2, 22))
def test_any_budget_gives_members_that_are_inside(share, metric, seed, depth):
    space = StrideSpace(block="bottleneck", depth=depth, channels=12, input_size=(128, 64))
    low, high = space.cost_range(metric)
    bounded = space.within(Budget(metric, int(low + share * (high - low)), 0.3))
    genome = bounded.sample(np.random.default_rng(seed))
    assert bounded.is_valid(genome)
    assert bounded.budget.holds(bounded.cost(genome))


def test_a_bounded_space_survives_pickle():
    bounded = pickle.loads(pickle.dumps(R18.within(TARGET)))
    assert bounded.count() == 124_709
    assert bounded.budget == TARGET
