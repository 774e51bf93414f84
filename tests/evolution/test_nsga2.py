"""What only NSGA-II promises: a front, its hypervolume, and crowding that survives a resume."""

import json
from dataclasses import replace

import moocore
import numpy as np
import pytest
from toy_space import ToySpace, toy_evaluation

from evolution.errors import StrategyError
from evolution.nsga2 import NSGA2
from evolution.strategy import Evaluation

WIDE = ToySpace(0, 10_000)


def scored(genome):
    """The more it may cost, the better it can be."""
    evaluation = toy_evaluation(genome)
    return replace(evaluation, score=(evaluation.score[0] + evaluation.cost["macs"] / 4000,))


def search(generations, **changes):
    strategy = NSGA2(WIDE, **{"seed": 0, "population_size": 16, "children": 16, "iterations": 9, **changes})
    told = []
    for _ in range(generations):
        evaluations = [scored(genome) for genome in strategy.ask()]
        strategy.tell(evaluations)
        told.append((evaluations, strategy.record))
    return strategy, told


def dominates(a, b):
    (ap, macs), (other_ap, other_macs) = ((e.score[0], e.cost["macs"]) for e in (a, b))
    return ap >= other_ap and macs <= other_macs and (ap, macs) != (other_ap, other_macs)


def test_the_front_is_everything_that_nothing_dominates():
    strategy, told = search(6)
    everything = [evaluation for evaluations, _ in told for evaluation in evaluations]
    expected = {a.genome for a in everything if not any(dominates(b, a) for b in everything)}
    assert {evaluation.genome for evaluation in strategy.front()} == expected
    assert len(expected) > 5


def test_the_hypervolume_never_falls_and_is_moocores():
    strategy, told = search(6)
    volumes = [record["hypervolume"] for _, record in told]
    assert volumes == sorted(volumes)
    assert volumes[0] < volumes[-1]
    worst = max(evaluation.cost["macs"] for evaluation in told[0][0])
    points = [[-evaluation.score[0], evaluation.cost["macs"]] for evaluation in strategy.front()]
    assert volumes[-1] == pytest.approx(moocore.hypervolume(np.array(points), ref=[0, worst]))


def test_a_given_reference_is_ap_then_costs():
    _, told = search(1, reference=[0.1, 1000])
    points = [[-e.score[0], e.cost["macs"]] for e in told[0][0]]
    expected = moocore.hypervolume(np.array(points, dtype=float), ref=[-0.1, 1000])
    assert told[0][1]["hypervolume"] == pytest.approx(expected)


def test_crowding_distances_survive_the_state():
    strategy, _ = search(3)
    other = NSGA2(WIDE, seed=5)
    other.load_state_dict(json.loads(json.dumps(strategy.state_dict(), allow_nan=False)))
    distances = [individual.fitness.crowding_dist for individual in strategy.population]
    assert [individual.fitness.crowding_dist for individual in other.population] == distances
    assert float("inf") in distances


def test_the_best_are_spread_over_the_front():
    strategy, _ = search(6)
    best = strategy.best(4)
    aps = [evaluation.score[0] for evaluation in strategy.front()]
    assert best[0].score[0] == max(aps)
    assert best[-1].score[0] == min(aps)
    assert not any(dominates(a, b) for a in best for b in best)


def test_three_objectives():
    strategy = NSGA2(WIDE, seed=0, minimise=["macs", "params"], population_size=8, children=8)
    strategy.tell(
        [
            Evaluation(genome=genome, score=(0.1 * i,), cost={"macs": i, "params": -i})
            for i, genome in enumerate(strategy.ask())
        ]
    )
    assert all(len(individual.fitness.values) == 3 for individual in strategy.population)
    assert strategy.record["hypervolume"] > 0


def test_a_cost_that_the_evaluations_lack_is_named():
    strategy = NSGA2(WIDE, seed=0, minimise=["latency_ms"])
    with pytest.raises(StrategyError, match="are macs, but got latency_ms"):
        strategy.tell([toy_evaluation(genome) for genome in strategy.ask()])


@pytest.mark.parametrize("wrong", [{"minimise": "macs"}, {"minimise": []}, {"reference": [0.0]}])
def test_objectives_that_make_no_sense_are_refused(wrong):
    with pytest.raises(StrategyError, match=next(iter(wrong))):
        NSGA2(WIDE, seed=0, **wrong)
