"""Steady state: no barrier, nothing lost; repeatable with one worker."""

import itertools
from collections import deque
from functools import partial

import pytest
from toy_space import ToySpace, toy_evaluation

from evolution.driver import evaluate_with, run_search
from evolution.errors import StrategyError
from evolution.history import History
from evolution.multi_scale import MultiScaleEvolution
from evolution.nsga2 import NSGA2
from evolution.operators import RANDOM
from evolution.random_search import RandomSearch
from evolution.regularized import RegularizedEvolution
from evolution.steady_state import steadily
from evolution.strategy import Evaluation

TOTAL = 12 + 5 * 6


def small(kind=RegularizedEvolution, **changes):
    sizes = {"population_size": 12, "children": 6, "iterations": 5}
    return kind(ToySpace(), **{"seed": 0, **sizes, **changes})


STEADY = [RegularizedEvolution, partial(MultiScaleEvolution, n_random=0), NSGA2]


def workers(count, evaluate=toy_evaluation):
    """An engine of `count` slots that finishes the newest of its jobs first."""

    def stream(jobs):
        jobs = iter(jobs)
        busy = deque(itertools.islice(jobs, count))
        while busy:
            yield evaluate(*busy.pop()[:2])
            busy.extend(itertools.islice(jobs, 1))

    return stream


@pytest.fixture
def search(tmp_path):
    def run(engine=None, name="a", strategy=None, **options):
        engine = evaluate_with(toy_evaluation) if engine is None else engine
        with History(tmp_path / name, fingerprint={}) as history:
            strategy = small() if strategy is None else strategy
            result = run_search(strategy, engine, history, drive=steadily, **options)
            return result, [e for e in history.evaluations() if e.replicate == 0]

    return run


def interrupted(count):
    def evaluate(genome, replicate, left=itertools.count(count, -1)):  # noqa: B008
        if next(left) == 0:
            raise KeyboardInterrupt
        return toy_evaluation(genome, replicate)

    return evaluate


@pytest.mark.parametrize("kind", STEADY)
@pytest.mark.parametrize("count", [1, 2, 5, 20])
def test_everything_is_scored_once_whatever_the_number_of_workers(search, count, kind):
    result, evaluations = search(workers(count), name=str(count), strategy=small(kind))
    assert len(evaluations) == len({evaluation.genome for evaluation in evaluations}) == TOTAL
    assert [record["generation"] for record in result.generations] == list(range(6))
    assert result.winners


def test_a_child_is_bred_as_soon_as_a_worker_is_free(search):
    """The slowest candidate, held to the very end, keeps nobody waiting."""

    def one_hangs(jobs):
        jobs = iter(jobs)
        first = next(jobs)
        yield from (toy_evaluation(*job[:2]) for job in jobs)
        yield toy_evaluation(*first)

    _, evaluations = search(one_hangs)
    assert len(evaluations) == TOTAL
    assert evaluations[-1].origin == "random"


@pytest.mark.parametrize("kind", STEADY)
def test_interrupted_with_one_worker_and_resumed_equals_uninterrupted(search, kind):
    whole, _ = search(strategy=small(kind))
    for count in range(0, TOTAL, 9):
        with pytest.raises(KeyboardInterrupt):
            search(evaluate_with(interrupted(count)), name=f"b{count}", strategy=small(kind))
        resumed, evaluations = search(name=f"b{count}", strategy=small(kind))
        assert resumed.winners == whole.winners
        assert resumed.generations == whole.generations
        assert len(evaluations) == TOTAL


def test_interrupted_with_many_workers_repeats_nothing_that_was_finished(search):
    with pytest.raises(KeyboardInterrupt):
        search(workers(4, interrupted(20)))
    result, evaluations = search(workers(4))
    assert len(evaluations) == len({evaluation.genome for evaluation in evaluations}) >= TOTAL
    assert len(result.winners) == 5


def test_failures_are_tried_twice_and_the_search_goes_on(search):
    def evaluate(genome, replicate):
        if genome[1] == 1:
            return Evaluation(genome=genome, status="failed", reason="diverged")
        return toy_evaluation(genome, replicate)

    result, evaluations = search(workers(3, evaluate))
    failures = [evaluation.genome for evaluation in evaluations if not evaluation.ok]
    assert {failures.count(genome) for genome in failures} == {2}
    assert all(one.genome[1] != 1 for one in result.winners)


def test_everything_failing_stops_it(search):
    def evaluate(genome, replicate):
        return Evaluation(genome=genome, status="failed", reason="no memory")

    with pytest.raises(StrategyError, match="no memory"):
        search(workers(2, evaluate), strategy=small(population_size=3, iterations=0))


def test_random_children_come_in_their_share(search):
    strategy = small(MultiScaleEvolution, children=20, n_random=20, iterations=4)
    evaluations = search(strategy=strategy)[1][12:]
    drawn = sum(evaluation.origin == RANDOM for evaluation in evaluations)
    assert len(evaluations) == 4 * 40
    assert abs(drawn - 80) < 4 * (160 / 4) ** 0.5


def test_every_operator_has_its_turn(search):
    evaluations = search(strategy=small(MultiScaleEvolution, n_random=0, iterations=20))[1][12:]
    assert len({evaluation.origin for evaluation in evaluations}) == 4


def test_a_strategy_that_makes_whole_generations_is_refused(search):
    with pytest.raises(StrategyError, match="RandomSearch makes whole generations"):
        search(strategy=RandomSearch(ToySpace(), seed=0))


def test_it_learns_as_well_as_by_generations(search):
    best = [search(workers(4), name=str(s), strategy=small(seed=s, iterations=15))[1] for s in range(4)]
    top = [max(evaluation.score[0] for evaluation in evaluations) for evaluations in best]
    assert sum(top) / 4 > 0.46  # the mean of the best of as many uniform draws is 0.450
