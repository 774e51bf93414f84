"""The table as a space: draws and neighbours against plain loops over its rows."""

import numpy as np
import pytest
from scipy.stats import chisquare
from toy_space import ToySpace

from evolution.errors import StrategyError
from evolution.table_space import TableSpace

SMALL = {"cardinalities": (2, 3, 2), "sections": {"a": slice(0, 2), "b": slice(2, 3)}}
ROWS = [(0, 0, 0), (0, 1, 0), (1, 2, 0), (1, 1, 1), (0, 0, 1)]


def children(space, parents, section, radius):
    """The same by definition, row by row."""
    part = range(len(space.cardinalities))[space.sections[section]]
    for row in space.rows:
        outside = all(row[i] == parents[0][i] for i in range(len(row)) if i not in part)
        new = sum(row[i] not in {parent[i] for parent in parents} for i in part)
        if outside and new <= radius and row not in parents:
            yield row


@pytest.mark.parametrize("section", ["encoder", "heads"])
@pytest.mark.parametrize("radius", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 2])
def test_neighbours_are_those_of_the_definition(section, radius, count):
    space = ToySpace()
    parents = [space.sample(np.random.default_rng(seed)) for seed in range(count)]
    found = [space.rows[i] for i in np.flatnonzero(space.neighbours(parents, section, radius))]
    assert found == list(children(space, parents, section, radius))


def test_a_neighbour_is_drawn_uniformly():
    space, rng = TableSpace(ROWS, **SMALL), np.random.default_rng(0)
    drawn = [space.neighbour([(0, 0, 0)], "a", 2, rng) for _ in range(4000)]
    assert set(drawn) == {(0, 1, 0), (1, 2, 0)}
    assert chisquare([drawn.count(row) for row in set(drawn)]).pvalue > 0.001


def test_there_may_be_no_neighbour():
    assert TableSpace(ROWS, **SMALL).neighbour([(1, 2, 0)], "b", 1, np.random.default_rng(0)) is None


def test_a_parent_need_not_be_in_the_table():
    space = TableSpace(ROWS, **SMALL)
    assert space.neighbour([(1, 0, 1)], "a", 1, np.random.default_rng(0)) in {(1, 1, 1), (0, 0, 1)}


def test_allowed_leads_to_every_row_and_to_no_other():
    space = TableSpace(ROWS, **SMALL)
    grown = [()]
    for _ in range(3):
        grown = [(*prefix, gene) for prefix in grown for gene in space.allowed(prefix)]
    assert sorted(grown) == sorted(ROWS)
    assert space.allowed((1, 0)) == ()


@pytest.mark.parametrize("rows", [np.empty((0, 3)), [(0, 0, 0), (0, 0, 0)]])
def test_an_empty_table_and_a_row_that_comes_twice_are_refused(rows):
    with pytest.raises(StrategyError, match="at least one genome and none twice"):
        TableSpace(rows, **SMALL)
