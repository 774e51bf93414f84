"""Crossover and mutation as functions, and both variations on the toy space."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_space import PlainSpace, ToySpace

from evolution.errors import StrategyError
from evolution.operators import (
    ExactVariation,
    Offspring,
    Operator,
    PaperVariation,
    crossover,
    make_variation,
    mutate,
    operators_of,
    sample_new,
)

CARDINALITIES = (3, 3, 1, 4, 2, 5, 3)
genomes = st.tuples(*(st.integers(0, count - 1) for count in CARDINALITIES))
sections = st.sampled_from([slice(0, 4), slice(4, 7), slice(3, None), slice(0, 7)])
seeds = st.integers(0, 2**32)
NUMBERS = {"mutation_rate": 0.1, "draws": 8, "patience": 20}


@given(genomes, genomes, sections, seeds)
def test_crossover_takes_each_gene_of_the_section_from_a_parent(first, second, section, seed):
    child = crossover(first, second, section, np.random.default_rng(seed))
    assert all(gene in pair for gene, pair in zip(child, zip(first, second, strict=True), strict=True))
    outside = np.setdiff1d(np.arange(7), np.arange(7)[section])
    assert [child[i] for i in outside] == [first[i] for i in outside]


@given(genomes, sections, st.floats(0.01, 1), seeds)
def test_mutation_stays_in_the_section_and_in_range(parent, section, rate, seed):
    child = mutate(parent, section, CARDINALITIES, rate, np.random.default_rng(seed))
    outside = np.setdiff1d(np.arange(7), np.arange(7)[section])
    assert [child[i] for i in outside] == [parent[i] for i in outside]
    assert all(0 <= gene < count for gene, count in zip(child, CARDINALITIES, strict=True))


@given(genomes, seeds)
def test_mutation_at_rate_one_changes_every_gene_that_has_a_choice(parent, seed):
    child = mutate(parent, slice(0, 7), CARDINALITIES, 1.0, np.random.default_rng(seed))
    assert [a != b for a, b in zip(child, parent, strict=True)] == [count > 1 for count in CARDINALITIES]


@given(genomes, genomes, seeds)
def test_same_generator_same_child(first, second, seed):
    whole = slice(0, 7)
    children = [crossover(first, second, whole, np.random.default_rng(seed)) for _ in range(2)]
    mutants = [mutate(first, whole, CARDINALITIES, 0.5, np.random.default_rng(seed)) for _ in range(2)]
    assert children[0] == children[1]
    assert mutants[0] == mutants[1]


def test_mutation_changes_a_tenth_of_the_genes_to_all_other_values_alike():
    rng = np.random.default_rng(0)
    values = Counter(gene for _ in range(400) for gene in mutate((1,) * 100, slice(0, 100), (4,) * 100, 0.1, rng))
    changed = 40_000 - values[1]
    assert abs(changed - 4000) < 4 * np.sqrt(40_000 * 0.1 * 0.9)
    assert all(abs(values[value] - changed / 3) < 4 * np.sqrt(changed * 2 / 9) for value in (0, 2, 3))


def test_crossover_takes_half_of_the_genes_from_each():
    rng = np.random.default_rng(0)
    taken = sum(sum(crossover((0,) * 10, (1,) * 10, slice(0, 10), rng)) for _ in range(4000))
    assert abs(taken - 20_000) < 4 * np.sqrt(40_000 / 4)


def test_operators_come_in_the_papers_order():
    names = [operator.name for operator in operators_of(ToySpace())]
    assert names == ["encoder crossover", "encoder mutation", "heads crossover", "heads mutation"]


def test_a_section_without_a_choice_is_not_varied():
    class FixedHeads(ToySpace):
        cardinalities = (3,) * 7 + (1,) * 3

    assert {operator.section for operator in operators_of(FixedHeads())} == {"encoder"}


@pytest.mark.parametrize("variation_class", [PaperVariation, ExactVariation])
@pytest.mark.parametrize("operator", operators_of(ToySpace()), ids=lambda operator: operator.name)
def test_children_are_valid_new_and_vary_one_section(variation_class, operator):
    space, rng = ToySpace(), np.random.default_rng(3)
    variation = (
        PaperVariation(space, mutation_rate=0.1)
        if variation_class is PaperVariation
        else ExactVariation(space, draws=8, patience=20)
    )
    taken = {space.sample(rng) for _ in range(100)}
    outside = [i for i in range(10) if i not in range(10)[space.sections[operator.section]]]
    accepted = 0
    for _ in range(200):
        parents = [space.sample(rng) for _ in range(operator.parents)]
        child = variation.child(operator, parents, taken, rng, Offspring(1))
        if child is not None:
            accepted += 1
            assert space.is_valid(child)
            assert child not in taken
            assert [child[i] for i in outside] == [parents[0][i] for i in outside]
    assert accepted > 0


def test_exact_grows_the_radius_where_no_neighbour_is_new_and_says_so():
    space, rng = ToySpace(), np.random.default_rng(0)
    parent = space.sample(rng)
    mutation = Operator("encoder", 1)
    near = space.neighbours([parent], "encoder", 2)
    taken = {parent} | {tuple(row) for row in space.genomes[near].tolist()}
    offspring = Offspring(1)
    child = ExactVariation(space, draws=50, patience=20).child(mutation, [parent], taken, rng, offspring)
    assert child is not None
    assert sum(a != b for a, b in zip(child, parent, strict=True)) >= 3
    assert min(offspring.record()["grown"]["encoder mutation"]) >= "3"


def test_exact_gives_nothing_when_the_whole_section_is_known():
    space, rng = ToySpace(), np.random.default_rng(0)
    taken = {tuple(row) for row in space.genomes.tolist()}
    offspring = Offspring(1)
    variation = ExactVariation(space, draws=8, patience=20)
    assert variation.child(Operator("encoder", 1), [space.sample(rng)], taken, rng, offspring) is None
    assert offspring.draws["encoder mutation"] <= 8 * 7


def test_auto_is_exact_only_where_the_space_has_neighbours():
    assert isinstance(make_variation("auto", ToySpace(), **NUMBERS), ExactVariation)
    assert isinstance(make_variation("auto", PlainSpace(), **NUMBERS), PaperVariation)
    assert isinstance(make_variation("paper", ToySpace(), **NUMBERS), PaperVariation)


@pytest.mark.parametrize(
    ("space", "wrong", "named"),
    [
        (PlainSpace(), {"name": "exact"}, "take paper"),
        (ToySpace(), {"name": "exakt"}, "auto, paper, exact"),
        (ToySpace(), {"mutation_rate": 0.0}, "mutation_rate"),
        (ToySpace(), {"mutation_rate": 1.5}, "mutation_rate"),
    ],
)
def test_a_variation_that_cannot_be_is_named(space, wrong, named):
    with pytest.raises(StrategyError, match=named):
        make_variation(**{"name": "auto", "space": space, **NUMBERS, **wrong})


def test_sampling_stops_when_all_genomes_are_known():
    space = ToySpace(low=352, high=352)
    offspring = sample_new(space, 99, set(), np.random.default_rng(0), max_attempts=200)
    assert len(offspring.children) == len(space.genomes) == 10
    assert not offspring.full
    assert offspring.record()["wanted"] == 99
