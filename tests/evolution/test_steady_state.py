"""Steady state: no barrier, nothing lost; repeatable with one worker."""

import itertools
from collections import deque

import pytest
from toy_space import ToySpace, toy_evaluation

from evolution.errors import StrategyError
from evolution.history import History
from evolution.regularized import RegularizedEvolution
from evolution.search import evaluate_with
from evolution.steady_state import run_steady_state
from evolution.strategy import Evaluation

TOTAL = 12 + 5 * 6


def small(**changes):
    sizes = {"population_size": 12, "children": 6, "iterations": 5}
    return RegularizedEvolution(ToySpace(), **{"seed": 0, **sizes, **changes})


def workers(count, evaluate=toy_evaluation):
    """An engine of `count` slots that finishes the newest of its jobs first."""

    def stream(jobs):
        jobs = iter(jobs)
        busy = deque(itertools.islice(jobs, count))
        while busy:
            yield evaluate(*busy.pop())
            busy.extend(itertools.islice(jobs, 1))

    return stream


@pytest.fixture
def search(tmp_path):
    def run(engine=None, name="a", strategy=None, **options):
        engine = evaluate_with(toy_evaluation) if engine is None else engine
        with History(tmp_path / name, fingerprint={}) as history:
            result = run_steady_state(small() if strategy is None else strategy, engine, history, **options)
            return result, [e for e in history.evaluations() if e.replicate == 0]

    return run


def interrupted(count):
    def evaluate(genome, replicate, left=itertools.count(count, -1)):  # noqa: B008
        if next(left) == 0:
            raise KeyboardInterrupt
        return toy_evaluation(genome, replicate)

    return evaluate


@pytest.mark.parametrize("count", [1, 2, 5, 20])
def test_everything_is_scored_once_whatever_the_number_of_workers(search, count):
    result, evaluations = search(workers(count), name=str(count))
    assert len(evaluations) == len({evaluation.genome for evaluation in evaluations}) == TOTAL
    assert [record["generation"] for record in result.generations] == list(range(6))
    assert len(result.winners) == 5


def test_a_child_is_bred_as_soon_as_a_worker_is_free(search):
    """The slowest candidate, held to the very end, keeps nobody waiting."""

    def one_hangs(jobs):
        jobs = iter(jobs)
        first = next(jobs)
        yield from (toy_evaluation(*job) for job in jobs)
        yield toy_evaluation(*first)

    _, evaluations = search(one_hangs)
    assert len(evaluations) == TOTAL
    assert evaluations[-1].origin == "random"


def test_interrupted_with_one_worker_and_resumed_equals_uninterrupted(search):
    whole, _ = search()
    for count in range(0, TOTAL, 6):
        with pytest.raises(KeyboardInterrupt):
            search(evaluate_with(interrupted(count)), name=f"b{count}")
        resumed, evaluations = search(name=f"b{count}")
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


def test_it_learns_as_well_as_by_generations(search):
    best = [search(workers(4), name=str(s), strategy=small(seed=s, iterations=15))[1] for s in range(4)]
    top = [max(evaluation.score[0] for evaluation in evaluations) for evaluations in best]
    assert sum(top) / 4 > 0.46  # the mean of the best of as many uniform draws is 0.450
