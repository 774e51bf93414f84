"""Children of one parent or two: exactly the valid neighbours, each drawn with the same probability."""

import itertools
import pickle
from functools import cache

import numpy as np
import pytest
from enumeration import assert_uniform, every_draw, small_space, valid_genomes

from supernet.errors import SpaceError
from supernet.space import Budget
from supernet.strides.counting import path_neighbours
from supernet.strides.stride_space import StrideSpace

SPACES = {
    "no budget": small_space(depth=4),
    "macs": small_space(depth=4).within(Budget("macs", 22_000_000, 0.03)),
    "params": small_space(depth=4, block="bottleneck").within(Budget("params", 28_000, 0.05)),
    "dead blocks": small_space(depth=4, live=False).within(Budget("macs", 22_000_000, 0.03)),
    "tied heads": small_space(depth=4, tied=(2, 5)).within(Budget("macs", 22_000_000, 0.1)),
    "ceiling": small_space(depth=4, head_rules=False).within(Budget("macs", 22_000_000, mode="ceiling")),
}
R18 = StrideSpace(block="basic", depth=13, channels=180)


WAYS = {"searched": {}, "listed": {"WHOLE": -1}, "counted": {"WHOLE": -1, "LISTED": -1}}


@cache
def copy_for(name, way):
    """Each way has a space of its own, for spaces keep the neighbourhoods that they were asked for."""
    return pickle.loads(pickle.dumps(SPACES[name]))


@pytest.fixture(params=itertools.product(SPACES, WAYS), ids=", ".join)
def space(request, monkeypatch):
    name, way = request.param
    for limit, value in WAYS[way].items():
        monkeypatch.setattr(path_neighbours, limit, value)
    return copy_for(name, way)


@cache
def members(space):
    return [genome for genome in valid_genomes(space) if space.is_valid(genome)]


def children(space, parents, section, radius):
    """All children by definition; a tied head is no gene of its section."""
    part = space.sections[section]
    tied = [space.depth + head - 1 for head in space.tied if section == "heads"]
    genes = [i for i in range(part.start, part.stop) if i not in tied]
    found = []
    for genome in members(space):
        free = sum(all(p[i] != genome[i] for p in parents) for i in genes)
        known = any(_without(genome, tied) == _without(p, tied) for p in parents)
        others = range(part.start, part.stop)
        if free <= radius and not known and _without(genome, others) == _without(parents[0], others):
            found.append(genome)
    return found


def _without(genome, genes):
    return tuple(gene for i, gene in enumerate(genome) if i not in genes)


def some_parents(space, number, seed):
    """Members mostly; now and then a genome that breaks rules or the budget, and now and then twins."""
    rng = np.random.default_rng(seed)
    pool = members(space) * 3 + valid_genomes(space)
    pool += [tuple(genome) for genome in rng.integers(0, space.cardinalities, (50, 9)).tolist()]
    chosen = [pool[index] for index in rng.integers(len(pool), size=number)]
    return chosen if rng.random() < 0.9 else [chosen[0]] * number


@pytest.mark.parametrize("section", ["encoder", "heads"])
@pytest.mark.parametrize("radius", [1, 2, 3, 99])
def test_mutation_draws_each_neighbour_of_one_parent_once(space, section, radius):
    for seed in range(8):
        parents = some_parents(space, 1, seed)
        drawn = every_draw(lambda rng, p=parents: space.neighbour(p, section, radius, rng))
        assert sorted(drawn) == children(space, parents, section, radius)


@pytest.mark.parametrize("section", ["encoder", "heads"])
@pytest.mark.parametrize("radius", [0, 1, 2, 99])
def test_crossover_draws_each_child_of_two_parents_once(space, section, radius):
    for seed in range(8):
        parents = some_parents(space, 2, seed)
        drawn = every_draw(lambda rng, p=parents: space.neighbour(p, section, radius, rng))
        assert sorted(drawn) == children(space, parents, section, radius)


def test_parents_that_share_the_rest_never_give_the_second_parent_back():
    space = SPACES["no budget"]
    first, second = (1, 2, 1, 1, 0, 0, 0, 1, 1), (1, 1, 2, 1, 0, 0, 0, 1, 1)
    drawn = every_draw(lambda rng: space.neighbour([first, second], "encoder", 0, rng))
    assert drawn == children(space, [first, second], "encoder", 0)
    assert second not in drawn


def test_the_second_parent_s_encoder_under_the_first_one_s_heads_is_a_child():
    space = SPACES["no budget"]
    first, second = (1, 2, 1, 1, 0, 0, 0, 1, 1), (1, 1, 2, 1, 0, 0, 1, 1, 1)
    drawn = every_draw(lambda rng: space.neighbour([first, second], "encoder", 0, rng))
    assert (*second[:4], *first[4:]) in drawn


@pytest.mark.parametrize("section", ["encoder", "heads"])
def test_children_are_uniform_by_chi_square(section):
    space, rng = SPACES["ceiling"], np.random.default_rng(1)
    parent = max(members(space), key=lambda genome: len(children(space, [genome], section, 3)))
    population = children(space, [parent], section, 3)
    drawn = [space.neighbour([parent], section, 3, rng) for _ in range(40 * len(population))]
    assert len(population) >= 8
    assert_uniform(drawn, population)


def test_children_of_the_same_parents_share_one_table(monkeypatch):
    space, rng = R18.within(Budget("macs", 145.45e9, 0.01)), np.random.default_rng(0)
    parent = space.sample(rng)
    monkeypatch.setattr(path_neighbours, "WHOLE", -1)
    monkeypatch.setattr(path_neighbours, "LISTED", -1)
    assert space.neighbour([parent], "encoder", 5, rng) is not None
    monkeypatch.setattr(path_neighbours, "PathTable", None)  # building another fails
    assert space.neighbour([parent], "encoder", 5, rng) is not None


def test_no_neighbour_is_none():
    space, rng = SPACES["macs"], np.random.default_rng(0)
    lonely = [genome for genome in members(space) if not children(space, [genome], "encoder", 1)]
    twins = [members(space)[0]] * 2
    assert lonely
    assert space.neighbour(lonely[:1], "encoder", 1, rng) is None
    assert space.neighbour(twins, "encoder", 0, rng) is None
    assert space.neighbour(twins, "heads", 0, rng) is None


@pytest.mark.parametrize("target", [145.45e9, 60e9])
def test_children_at_full_size_are_inside_the_budget(target):
    space, rng = R18.within(Budget("macs", target, 0.001)), np.random.default_rng(0)
    parents = [space.sample(rng) for _ in range(20)]
    born = [space.neighbour([parent], "encoder", 4, rng) for parent in parents]
    born += [space.neighbour([parents[0], parent], "encoder", 2, rng) for parent in parents[1:]]
    delivered = [child for child in born if child is not None]
    assert len(delivered) > 25
    assert all(space.is_valid(child) for child in delivered)


def test_one_step_moves_a_tied_head_with_the_head_before_it():
    space, parent = small_space(depth=4, tied=(2, 5)), (1, 2, 2, 1, 0, 0, 1, 2, 2)
    drawn = every_draw(lambda rng: space.neighbour([parent], "heads", 1, rng))
    assert drawn == [(*parent[:4], *heads) for heads in [(0, 0, 0, 2, 2), (0, 0, 2, 2, 2), (1, 1, 1, 2, 2)]]


def test_a_whole_section_s_radius_reaches_every_encoder_of_the_budget():
    space = SPACES["macs"]
    parent = members(space)[0]
    everyone = [g for g in members(space) if g[4:] == parent[4:] and g != parent]
    assert sorted(every_draw(lambda rng: space.neighbour([parent], "encoder", 4, rng))) == everyone


@pytest.mark.parametrize(
    ("parents", "section", "radius", "rule"),
    [
        (1, "tail", 1, "sections of this space are encoder, heads"),
        (0, "encoder", 1, "one parent"),
        (3, "encoder", 1, "one parent"),
        (1, "encoder", 0, "radius >= 1"),
        (2, "heads", -1, "radius >= 0"),
    ],
)
def test_a_question_without_meaning_is_refused(parents, section, radius, rule):
    space = SPACES["no budget"]
    with pytest.raises(SpaceError, match=rule):
        space.neighbour([members(space)[0]] * parents, section, radius, np.random.default_rng(0))


def test_fixed_heads_cannot_be_varied():
    space = small_space(heads=(4, 4, 8, 16, 16))
    with pytest.raises(SpaceError, match="sections of this space are encoder, but"):
        space.neighbour([members(space)[0]], "heads", 1, np.random.default_rng(0))


def test_a_parent_of_another_space_is_refused():
    with pytest.raises(SpaceError, match="A genome here"):
        SPACES["macs"].neighbour([(1, 2, 3)], "encoder", 1, np.random.default_rng(0))
