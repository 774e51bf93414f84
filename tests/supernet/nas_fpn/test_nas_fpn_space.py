"""The NAS-FPN space is counted and drawn exactly, with and without a budget."""

from collections import Counter
from itertools import product

import numpy as np
import pytest

from supernet.errors import SpaceError
from supernet.nas_fpn.cell_space import CellSpace
from supernet.nas_fpn.pyramid_plan import DISCOVERED
from supernet.space import Budget

SMALL = {"num_cells": 5, "top_level": 5, "channels": 8, "stacks": 2, "input_size": (64, 64), "num_classes": 3}


def every_genome(space, prefix=()):
    """All that `allowed` leads to."""
    if len(prefix) == len(space.cardinalities):
        return [prefix]
    return [genome for gene in space.allowed(prefix) for genome in every_genome(space, (*prefix, gene))]


@pytest.fixture(scope="module")
def small():
    return CellSpace(**SMALL)


@pytest.fixture(scope="module")
def bounded(small):
    return small.within(Budget("macs", small.cost_range()[1] - 1, mode="ceiling"))


def chi_square(draws, genomes):
    counts = Counter(draws)
    expected = len(draws) / len(genomes)
    return sum((counts[genome] - expected) ** 2 / expected for genome in genomes) / max(1, len(genomes) - 1)


def test_seven_cells_are_247_210_809_753_600_000_ordered():
    assert CellSpace().count() == 247_210_809_753_600_000


def test_seven_cells_are_1_931_334_451_200_000_unordered():
    assert CellSpace().count(ordered=False) == 1_931_334_451_200_000


def test_fifteen_cells_over_four_levels_follow_the_formula():
    expected = 3**11 * 24
    for known in range(4, 19):
        expected *= known * (known - 1) * 2
    assert CellSpace(num_cells=15, top_level=6).count() == expected


def test_a_small_space_has_as_many_genomes_as_enumeration_finds():
    space = CellSpace(num_cells=3, top_level=4)
    assert len(every_genome(space)) == space.count()


def test_allowed_finds_exactly_the_valid_genomes():
    space = CellSpace(num_cells=2, top_level=4)
    everything = product(*(range(choices) for choices in space.cardinalities))
    assert [genome for genome in everything if space.is_valid(genome)] == every_genome(space)


def test_each_unordered_pair_counts_once():
    space = CellSpace(num_cells=2, top_level=4)
    pairs = {
        tuple((min(g[k], g[k + 1]), max(g[k], g[k + 1]), *g[k + 2 : k + 4]) for k in (0, 4))
        for g in every_genome(space)
    }
    assert len(pairs) == space.count(ordered=False)


def test_the_discovered_cells_are_a_genome_of_the_space():
    genome = (1, 3, 1, 1, 1, 5, 1, 0, 0, 6, 0, 0, 6, 7, 1, 0, 7, 8, 2, 1, 6, 9, 4, 1, 9, 10, 3, 1)
    assert CellSpace().encode(DISCOVERED) == genome
    assert CellSpace().decode(genome) == DISCOVERED


def test_draws_are_uniform():
    space = CellSpace(num_cells=2, top_level=4)
    rng, genomes = np.random.default_rng(0), every_genome(space)
    assert chi_square([space.sample(rng) for _ in range(20 * len(genomes))], genomes) < 1.25


def test_counting_inside_a_budget_equals_filtering(small, bounded):
    pairs = list(product((1, 2), repeat=2))  # level genes of the two intermediate cells; nothing else costs
    inside = [pair for pair in pairs if small.cost((0, 1, pair[0], 0, 0, 1, pair[1], 0)).macs <= bounded.budget.high]
    assert len(inside) == 3
    assert bounded.count() * len(pairs) == small.count() * len(inside)


def test_draws_inside_a_budget_are_uniform(bounded):
    rng = np.random.default_rng(0)
    levels = [bounded.sample(rng)[2:7:4] for _ in range(1500)]
    assert chi_square(levels, [(1, 2), (2, 1), (2, 2)]) < 3


def test_a_genome_outside_of_the_budget_is_not_valid(small, bounded):
    rng = np.random.default_rng(1)
    genomes = [small.sample(rng) for _ in range(50)]
    assert [bounded.is_valid(g) for g in genomes] == [small.cost(g).macs < small.cost_range()[1] for g in genomes]


def test_an_empty_budget_names_the_nearest_costs(small):
    low, middle, _ = sorted({cost.macs for cost in small._costs.values()})
    with pytest.raises(SpaceError, match=f"nearest costs that exist are {low:,} and {middle:,}"):
        small.within(Budget("macs", (low + middle) / 2, 1e-9))


@pytest.mark.parametrize(("section", "radius"), [("intermediate", 2), ("outputs", 2), ("order", 2)])
def test_mutations_are_the_valid_genomes_that_near(section, radius):
    space = CellSpace(num_cells=3, top_level=4)
    rng = np.random.default_rng(2)
    parent = space.sample(rng)
    part = set(range(len(parent))[space.sections[section]])

    def near(genome):
        differing = {place for place, gene in enumerate(genome) if gene != parent[place]}
        return 1 <= len(differing) <= radius and differing <= part

    expected = {genome for genome in every_genome(space) if near(genome)}
    children = [space.neighbour([parent], section, radius, rng) for _ in range(40 * len(expected))]
    assert set(children) == expected
    assert chi_square(children, expected) < 2


def test_crossovers_take_all_genes_but_radius_from_the_parents():
    space = CellSpace(num_cells=3, top_level=4)
    rng = np.random.default_rng(3)
    parents = [space.sample(rng), space.sample(rng)]
    part = range(*space.sections["outputs"].indices(12))

    def near(genome):
        new = [place for place in part if genome[place] not in (parents[0][place], parents[1][place])]
        return len(new) <= 1 and all(genome[p] == parents[0][p] for p in range(12) if p not in part)

    expected = {genome for genome in every_genome(space) if near(genome)}
    children = {space.neighbour(parents, "outputs", 1, rng) for _ in range(20 * len(expected))}
    assert children == expected


def test_one_gene_alone_never_changes_the_order_of_the_outputs():
    space = CellSpace()
    rng = np.random.default_rng(4)
    assert space.neighbour([space.sample(rng)], "order", 1, rng) is None


@pytest.mark.parametrize(
    ("genome", "message"),
    [((1,) * 27, "28 genes"), ((5, *(0,) * 27), "Gene 0 must lie in 0..4"), ((0,) * 28, "Cell 1")],
)
def test_a_genome_that_names_no_pyramid_is_an_error(genome, message):
    with pytest.raises(SpaceError, match=message):
        CellSpace().decode(genome)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_cells": 4}, "at least 5 cells"),
        ({"top_level": 8}, "top_level"),
        ({"channels": 0}, "channels=0"),
    ],
)
def test_a_setting_that_makes_no_space_is_an_error(settings, message):
    with pytest.raises(SpaceError, match=message):
        CellSpace(**settings)


def test_a_size_that_the_coarsest_level_does_not_divide_is_an_error_that_names_the_padded_one():
    assert CellSpace(num_cells=15, top_level=6, input_size=(832, 1280)).divisor == 64
    with pytest.raises(SpaceError, match="padded to 896x1280"):
        CellSpace(input_size=(832, 1280))
