"""Latency as a cost: a sum over the parts of a path, counted and drawn like MACs."""

import numpy as np
import pytest
from enumeration import every_draw, small_prefix, small_space, valid_genomes

from supernet.errors import SpaceError
from supernet.space import Budget
from supernet.strides.latency_parts import part_names, parts_of
from supernet.strides.prefix_space import PrefixSpace

TIMES = {name: 7 * number**2 % 101 + 3 for number, name in enumerate(part_names(4))} | {"rest": -9}


def timed(**settings):
    return small_space(depth=4).__class__(**{**small_space(depth=4).config, "latency": TIMES, **settings})


SPACE = timed()
COSTS = {g: sum(TIMES[p] for p in parts_of(SPACE.decode(g), 4)) for g in valid_genomes(small_space(depth=4))}
MIDDLE = Budget("latency_us", float(np.median(list(COSTS.values()))), 0.05)


def test_a_path_takes_the_sum_of_its_parts():
    assert {genome: SPACE.cost(genome).latency_us for genome in COSTS} == COSTS


@pytest.mark.parametrize("settings", [{"cut": 8}, {"cut": 16, "finest": 8}, {"cut": 32}], ids=str)
def test_behind_a_prefix_too_a_path_takes_the_sum_of_its_parts(settings):
    start = small_prefix(**settings).start
    times = {name: 7 * number**2 % 101 + 3 for number, name in enumerate(part_names(4, start))}
    space = PrefixSpace(**{**small_prefix(**settings).config, "latency": times})
    genomes = valid_genomes(small_prefix(**settings))[::7]
    sums = [sum(times[part] for part in parts_of(space.decode(genome), 4, start)) for genome in genomes]
    assert [space.cost(genome).latency_us for genome in genomes] == sums


def test_a_budget_on_latency_is_counted_exactly():
    inside = [genome for genome, cost in COSTS.items() if MIDDLE.low <= cost <= MIDDLE.high]
    assert 5 < len(inside) < len(COSTS) / 2
    assert SPACE.count(MIDDLE) == len(inside)
    assert sorted(every_draw(SPACE.within(MIDDLE).sample)) == inside


def test_latency_joins_another_budget():
    both = Budget("macs", 22_000_000, 0.05, also=(MIDDLE,))
    inside = [genome for genome in COSTS if both.holds(SPACE.cost(genome))]
    assert inside
    assert SPACE.within(both).count() == len(inside)


def test_children_keep_a_latency_budget():
    space, rng = SPACE.within(MIDDLE), np.random.default_rng(0)
    born = [space.neighbour([space.sample(rng)], "encoder", 2, rng) for _ in range(30)]
    assert sum(child is not None and MIDDLE.holds(SPACE.cost(child)) for child in born) > 10


def test_without_measurements_there_is_no_latency():
    with pytest.raises(SpaceError, match="must be measured"):
        small_space(depth=4).within(MIDDLE)


def test_a_part_without_a_time_is_named():
    with pytest.raises(SpaceError, match="stem"):
        timed(latency={name: time for name, time in TIMES.items() if name != "stem"})


def test_a_time_is_whole_microseconds():
    with pytest.raises(SpaceError, match="whole microseconds"):
        timed(latency=TIMES | {"stem": 1.5})
