"""Successive halving: half of each rung goes on, whoever goes on ranks above whoever stopped, nothing is repeated."""

from collections import Counter
from dataclasses import replace
from functools import partial

import pytest
from toy_space import ToySpace, toy_evaluation

from evolution.driver import evaluate_with, run_search
from evolution.errors import StrategyError
from evolution.halving import better_half, by_halving
from evolution.history import History
from evolution.multi_scale import MultiScaleEvolution
from evolution.nsga2 import NSGA2
from evolution.strategy import FAILED, Evaluation

SIZES = {"population_size": 9, "children": 7, "iterations": 2, "n_random": 1}
RUNGS = {0: 9 + 8 + 8, 1: 5 + 4 + 4, 2: 3 + 2 + 2}  # candidates of each rung, all generations together


def climbed(genome, replicate, rung=0):
    """Higher rungs score lower, as if each were another scale, and a little differently."""
    plain = toy_evaluation(genome, replicate)
    return replace(plain, score=(plain.score[0] / 10**rung - 5 * rung,), rung=rung, recipe={"iterations": 25 * rung})


@pytest.fixture
def search(tmp_path):
    """`search(evaluate, name=...)`: a small search in three rungs whose history is `name`."""

    def run(evaluate=climbed, name="a", strategy=None, **options):
        strategy = strategy or MultiScaleEvolution(ToySpace(), seed=0, **SIZES)
        with History(tmp_path / name, fingerprint={}) as history:
            return run_search(
                strategy, evaluate_with(evaluate), history, drive=by_halving(3), top_k=2, finalists=3, **options
            )

    return run


def stored(tmp_path):
    with History.read(tmp_path / "a") as view:
        return [e for e in view.evaluations() if e.replicate == 0]


def test_the_better_half_of_each_rung_goes_on(search, tmp_path):
    search()
    first = [e for e in stored(tmp_path) if e.generation == 0]
    for rung, goes_on in ((0, 5), (1, 3)):
        scored = sorted((e for e in first if e.rung == rung), key=lambda e: e.score, reverse=True)
        assert {e.genome for e in first if e.rung == rung + 1} == {e.genome for e in scored[:goes_on]}


def test_every_rung_is_in_the_history_with_its_recipe(search, tmp_path):
    search()
    assert Counter(e.rung for e in stored(tmp_path)) == RUNGS
    assert all(e.recipe == {"iterations": 25 * e.rung} for e in stored(tmp_path))


def test_whoever_goes_on_ranks_above_whoever_stopped(search, tmp_path):
    result = search()
    assert {one.selected.rung for one in result.finalists} == {2}
    best = sorted((e for e in stored(tmp_path) if e.rung == 2), key=lambda e: e.score, reverse=True)
    assert {one.genome for one in result.finalists} == {e.genome for e in best[:3]}


def test_finalists_are_scored_again_on_their_own_rung(search):
    assert {again.rung for one in search().finalists for again in one.again} == {2}


def test_a_generation_s_record_is_of_its_highest_rung(search, tmp_path):
    record = search().generations[-1]
    assert record["best"] == max(e.score[0] for e in stored(tmp_path) if e.rung == 2)


class Interrupted:
    """Scores `count` candidates, then the user presses Ctrl-C."""

    def __init__(self, count):
        self.left = count

    def __call__(self, *job, **rung):
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        return climbed(*job, **rung)


def test_interrupted_anywhere_and_resumed_equals_uninterrupted(search):
    whole = search()
    total = sum(RUNGS.values()) + 3 * 3
    assert whole.evaluated == total
    for count in range(0, total, 4):
        with pytest.raises(KeyboardInterrupt):
            search(Interrupted(count), name=f"b{count}")
        rest = Interrupted(total - count)  # one more would be a repetition
        resumed = search(rest, name=f"b{count}")
        assert (resumed.finalists, resumed.generations) == (whole.finalists, whole.generations)
        assert rest.left == 0


def failing(genome, replicate, rung=0, *, at):
    if rung == at:
        raise MemoryError("no room")
    return climbed(genome, replicate, rung)


def test_a_candidate_that_fails_on_a_higher_rung_is_failed(search):
    result = search(partial(failing, at=2), give_up_after=1000)
    assert result.failed == 2 * RUNGS[2]  # each is tried twice
    assert {one.selected.rung for one in result.finalists} == {1}


def test_of_equals_those_that_came_first_go_on_and_failed_ones_never():
    genomes = [(number,) for number in range(6)]
    scored = [Evaluation(genome=genome, score=(1.0,)) for genome in genomes]
    assert better_half(scored) == genomes[:3]
    scored[0] = Evaluation(genome=genomes[0], status=FAILED, reason="no room")
    assert better_half(scored) == genomes[1:4]


def test_a_strategy_that_computes_with_scores_is_refused(search):
    with pytest.raises(StrategyError, match="algorithm1, regularized or random"):
        search(strategy=NSGA2(ToySpace(), seed=0))
