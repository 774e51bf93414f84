"""Every strategy of conf/strategy on the committed score table: the short form of experiments/score_table."""

import importlib.util
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from supernet.space import Budget
from supernet.strides.stride_space import StrideSpace

FOLDER = Path(__file__).parents[3] / "experiments" / "score_table"
SPEC = importlib.util.spec_from_file_location("replay", FOLDER / "replay.py")
replay = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(replay)

SEEDS = {"controller": 3}  # of the slow one
EVALUATIONS = 64


read = cache(replay.ScoreTable.read)


@pytest.fixture
def table():
    return read()


@cache
def asked(name, seed, again=0):
    return replay.search(replay.make_strategy(name, read().space, seed), read(), EVALUATIONS)


@pytest.mark.parametrize("name", replay.STRATEGIES)
class TestStrategyOnTheTable:
    def test_it_asks_for_different_architectures_of_the_table_only(self, name, table):
        genomes = asked(name, 0)
        assert len(genomes) == len(set(genomes)) == EVALUATIONS
        assert all(table.space.is_valid(genome) for genome in genomes)

    def test_its_seed_decides(self, name):
        assert asked(name, 0) == asked(name, 0, again=1) != asked(name, 1)

    def test_it_is_no_worse_than_fewer_uniform_draws(self, name, table):
        """The margin: mean regret after 64 evaluations at most that of half as many uniform draws.

        A controller's is an eighth: its first draws are uniform in every choice, which is not uniform in the whole.
        """
        share = 8 if name.startswith("controller") else 2
        found = [replay.regrets(asked(name, seed), table)[-1] for seed in range(SEEDS.get(name, 24))]
        assert np.mean(found) <= table.expected_regret(EVALUATIONS // share)


def test_random_search_is_uniform_draws_without_replacement(table):
    found = np.array([replay.regrets(asked("random", seed), table)[-1] for seed in range(200)])
    error = found.std() / np.sqrt(len(found))
    assert abs(found.mean() - table.expected_regret(EVALUATIONS)) < 4 * error


def test_the_table_holds_every_architecture_of_its_window_at_its_exact_cost(table):
    space = StrideSpace(block="basic", depth=7, channels=32, live=False, input_size=(128, 128))
    assert (space.count_encoders(), space.count()) == (707, 16_363)
    assert space.count(Budget("macs", 108e6, tolerance=0.02)) == len(table.evaluations)
    macs, params = space.costs(table.space.genomes)
    assert [one.cost for one in table.evaluations.values()] == [
        {"macs": m, "params": p} for m, p in zip(macs.tolist(), params.tolist(), strict=True)
    ]
