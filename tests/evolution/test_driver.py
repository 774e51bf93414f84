"""The search loop: nothing repeated, nothing lost, failures bounded, the best scored again."""

import itertools
import statistics
from collections import Counter
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from deap import base
from toy_space import ToySpace, toy_evaluation

from evolution.driver import Finalist, evaluate_with, run_search
from evolution.errors import StrategyError
from evolution.history import History
from evolution.multi_scale import MultiScaleEvolution
from evolution.nsga2 import NSGA2
from evolution.strategy import Evaluation

SIZES = {"population_size": 10, "children": 8, "iterations": 3, "n_random": 2}
TOTAL = 10 + 3 * 10 + 8 * 3  # searched, then 8 finalists three times


def small(seed=0, space=None, **changes):
    return MultiScaleEvolution(ToySpace() if space is None else space, seed=seed, **{**SIZES, **changes})


@pytest.fixture
def search(tmp_path):
    """`search(evaluate, name=...)`: a small search whose history is `name`."""

    def run(evaluate=toy_evaluation, name="a", strategy=None, engine=None, **options):
        engine = evaluate_with(evaluate) if engine is None else engine
        with History(tmp_path / name, fingerprint={}) as history:
            return run_search(small() if strategy is None else strategy, engine, history, **options)

    return run


def summary(result):
    return [(one.genome, one.mean, one.selected, one.again) for one in result.finalists], result.generations


def noted(calls, *job):
    calls.append(job)
    return toy_evaluation(*job)


class Interrupted:
    """Scores `count` candidates, then the user presses Ctrl-C."""

    def __init__(self, count):
        self.left = count

    def __call__(self, genome, replicate):
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        return toy_evaluation(genome, replicate)


def test_interrupted_anywhere_and_resumed_equals_uninterrupted(search):
    whole = search()
    assert whole.evaluated == TOTAL
    for count in range(0, TOTAL, 9):
        with pytest.raises(KeyboardInterrupt):
            search(Interrupted(count), name=f"b{count}")
        calls = []
        resumed = search(partial(noted, calls), name=f"b{count}")
        assert summary(resumed) == summary(whole)
        assert len(calls) == TOTAL - count  # nothing that was finished is evaluated again


def test_a_complete_search_evaluates_nothing_when_started_again(search):
    first = search()
    assert summary(search(Interrupted(0))) == summary(first)


def test_seconds_are_those_of_the_clock_however_long_candidates_say_they_took(search):
    result = search(lambda *job: replace(toy_evaluation(*job), seconds=1000.0))
    assert 0 < result.seconds < 100


def test_results_in_any_order_lead_to_the_same_winners(search):
    rng = np.random.default_rng(0)

    def shuffled(function, jobs):
        results = [function(job) for job in jobs]
        return (results[i] for i in rng.permutation(len(results)))

    assert summary(search(engine=evaluate_with(toy_evaluation, shuffled), name="b")) == summary(search())


def test_deaps_toolbox_map_is_an_engine(search):
    engine = evaluate_with(toy_evaluation, base.Toolbox().map)
    assert summary(search(engine=engine, name="b")) == summary(search())


def test_each_result_is_stored_as_it_finishes(tmp_path):
    stored = []

    def look(genome, replicate):
        with History.read(tmp_path / "a") as view:
            stored.append(len(view.evaluations()))
        return toy_evaluation(genome, replicate)

    with History(tmp_path / "a", fingerprint={}) as history:
        run_search(small(), evaluate_with(look), history)
    assert stored == list(range(TOTAL))


def test_evaluations_carry_their_generation_and_origin(search, tmp_path):
    search()
    with History.read(tmp_path / "a") as view:
        evaluations = view.evaluations()
    assert Counter(e.generation for e in evaluations if e.replicate == 0) == {0: 10, 1: 10, 2: 10, 3: 10}
    assert {e.origin for e in evaluations if e.generation == 0 and e.replicate == 0} == {"random"}
    assert {e.origin for e in evaluations if e.replicate > 0} == {"rescored"}


# Failures


def flaky(genome, replicate, *, fails, calls):
    """Raises while `fails(genome, earlier calls)`."""
    job = genome, replicate
    calls[job] += 1
    if fails(genome, calls[job]):
        raise MemoryError(f"no room\nfor {genome}")
    return toy_evaluation(genome, replicate)


def test_a_candidate_that_fails_is_tried_twice_then_never(search):
    calls = Counter()
    evaluate = partial(flaky, fails=lambda genome, _: genome[1] == 1, calls=calls)
    result = search(evaluate)
    tried = {count for (genome, _), count in calls.items() if genome[1] == 1}
    assert tried == {2}
    assert {count for (genome, _), count in calls.items() if genome[1] != 1} == {1}
    assert result.failed == sum(count for (genome, _), count in calls.items() if genome[1] == 1)
    before = calls.copy()
    search(evaluate)  # started again
    assert calls == before


def test_a_candidate_that_fails_once_counts_as_if_it_had_not(search):
    evaluate = partial(flaky, fails=lambda genome, call: genome[1] == 1 and call == 1, calls=Counter())
    found, undisturbed = search(evaluate), search(name="b")
    assert found.failed > 0
    assert [one.genome for one in found.winners] == [one.genome for one in undisturbed.winners]


def test_the_reason_of_a_failure_is_stored(search, tmp_path):
    search(partial(flaky, fails=lambda genome, _: genome[1] == 1, calls=Counter()))
    with History.read(tmp_path / "a") as view:
        reasons = [evaluation.reason for evaluation in view.evaluations() if not evaluation.ok]
    assert reasons[0].startswith("MemoryError: no room for (")


def test_a_score_that_is_not_a_number_is_a_failure(search):
    def diverge(genome, replicate):
        score = float("nan") if genome[1] == 1 else 0.5
        return Evaluation(genome=genome, replicate=replicate, score=(score,))

    assert search(diverge).failed > 0


def test_a_search_in_which_everything_fails_stops_early_and_says_why(search):
    calls = Counter()
    evaluate = partial(flaky, fails=lambda *_: True, calls=calls)
    with pytest.raises(StrategyError, match=r"last 12 candidates all failed.*MemoryError: no room") as error:
        search(evaluate, strategy=small(population_size=100), give_up_after=12)
    assert calls.total() == 12
    assert "\n" not in str(error.value)


def test_many_failures_among_successes_do_not_stop_it(search):
    """Half of the candidates fail, and so do all second attempts, one after another."""
    calls = Counter()
    evaluate = partial(flaky, fails=lambda genome, _: genome[3] != 1, calls=calls)
    result = search(evaluate, strategy=small(population_size=60), give_up_after=15)
    assert result.failed > 40
    assert len(result.winners) == 5


def test_a_small_first_generation_in_which_everything_fails_stops_the_search(search):
    calls = Counter()
    with pytest.raises(StrategyError, match=r"Every candidate failed, all 4 of them"):
        search(partial(flaky, fails=lambda *_: True, calls=calls), strategy=small(population_size=4))
    assert calls.total() == 8


def test_a_fault_in_mid_search_stops_it_and_keeps_what_succeeded(search):
    count = itertools.count()

    def unplugged(genome, replicate):
        if next(count) >= 15:
            raise OSError("the disk is gone")
        return toy_evaluation(genome, replicate)

    with pytest.raises(StrategyError, match="the disk is gone"):
        search(unplugged, give_up_after=5)
    assert search(give_up_after=5).evaluated >= TOTAL


def test_an_engine_that_loses_a_job_is_our_fault(search):
    with pytest.raises(AssertionError, match="lost 1 of 10"):
        search(engine=lambda jobs: [toy_evaluation(*job[:2]) for job in jobs[1:]])


# The end


def test_winners_are_chosen_by_the_mean_of_new_scores(search):
    result = search(top_k=3, finalists=6, replicates=4)
    assert len(result.finalists) == 6
    assert result.winners == result.finalists[:3]
    means = [one.mean for one in result.finalists]
    assert means == sorted(means, reverse=True)
    for one in result.finalists:
        scores = [toy_evaluation(one.genome, replicate).score[0] for replicate in (1, 2, 3, 4)]
        assert one.mean == statistics.fmean(scores)
        assert one.standard_error == pytest.approx(statistics.stdev(scores) / 2)
        assert one.selected.score == toy_evaluation(one.genome, 0).score


def test_a_lucky_score_does_not_win(search):
    """One candidate's first score is far too good; scored again it is the worst."""
    unlucky = toy_evaluation
    lucky = small().ask()[0]

    def evaluate(genome, replicate):
        if genome != lucky:
            return unlucky(genome, replicate)
        return Evaluation(genome=genome, replicate=replicate, score=(9.0 if replicate == 0 else -9.0,))

    result = search(evaluate, top_k=2)
    assert result.finalists[-1].genome == lucky
    assert lucky not in [one.genome for one in result.winners]


def drawn(genome, replicate, draws):
    return Evaluation(genome=genome, replicate=replicate, score=(0.5,), draws=draws)


def test_the_error_over_images_is_that_of_the_mean_over_replicates():
    again = drawn((1,), 1, (0.1, 0.3)), drawn((1,), 2, (0.2, 0.6))  # means 0.15 and 0.45
    assert Finalist(drawn((1,), 0, ()), again).image_error == pytest.approx(0.3 / 2**0.5)


def test_two_finalists_that_the_same_images_favour_differ_surely():
    first, second = (
        Finalist(drawn(genome, 0, ()), (drawn(genome, 1, draws),))
        for genome, draws in (((1,), (0.1, 0.3, 0.8)), ((2,), (0.0, 0.2, 0.7)))
    )
    assert second.image_error_beside(first) == pytest.approx(0, abs=1e-12)
    assert second.image_error > 0.3


def test_without_draws_of_the_images_there_is_no_error_over_them():
    one = Finalist(drawn((1,), 0, ()), (drawn((1,), 1, ()),))
    assert one.image_error is None
    assert one.image_error_beside(one) is None


def test_without_replicates_the_first_score_decides(search):
    result = search(replicates=0, top_k=2, finalists=1)
    assert result.evaluated == 40
    assert [one.mean for one in result.winners] == [one.selected.score[0] for one in result.winners]
    assert [one.standard_error for one in result.winners] == [None, None]


def test_a_finalist_that_always_fails_again_drops_out(search):
    def evaluate(genome, replicate):
        if replicate and sum(genome) % 2:
            raise RuntimeError("diverged")
        return toy_evaluation(genome, replicate)

    assert all(sum(one.genome) % 2 == 0 for one in search(evaluate, finalists=10, give_up_after=99).finalists)


def test_nsga2s_winners_are_a_front(search):
    strategy = NSGA2(ToySpace(0, 9999), seed=0, population_size=12, children=12, iterations=3)
    winners = search(strategy=strategy, top_k=4).winners
    costs = [one.selected.cost["macs"] for one in winners]
    assert costs == sorted(costs, reverse=True)
    assert len(set(costs)) > 1


def test_a_search_that_runs_out_of_genomes_ends_and_says_so_once(search):
    space = ToySpace(352, 352)
    first = search(strategy=small(space=space))
    assert "no new genome" in first.generations[-1]["stopped"]
    assert search(strategy=small(space=space)).generations == first.generations


def test_callers_hear_of_each_evaluation_and_generation(search):
    heard, records = [], []
    search(
        on_evaluation=lambda evaluation, number, total: heard.append((evaluation.generation, number, total)),
        on_generation=records.append,
        replicates=0,
    )
    assert heard[:10] == [(0, number, 10) for number in range(1, 11)]
    assert [record["generation"] for record in records] == [0, 1, 2, 3]


@pytest.mark.parametrize("wrong", [{"top_k": 0}, {"finalists": 0}, {"replicates": -1}, {"give_up_after": 0}])
def test_a_setting_that_makes_no_sense_is_refused(search, wrong):
    with pytest.raises(StrategyError, match=next(iter(wrong))):
        search(**wrong)
