"""What only the predictor promises; the contract of a strategy is held in test_strategies."""

import json

import numpy as np
import pytest
from toy_space import ToySpace, toy_evaluation, toy_score

from evolution.errors import StrategyError
from evolution.predictor import FEWEST, PredictorSearch, cross_validated_tau
from evolution.strategy import Evaluation

SMALL = {"population_size": 40, "children": 12, "n_random": 4, "iterations": 4, "proposals": 200}


def step(strategy, evaluate=toy_evaluation):
    genomes = strategy.ask()
    strategy.tell([evaluate(genome) for genome in genomes])
    return genomes


def noise(genome):
    return Evaluation(genome=genome, score=(np.random.default_rng(list(genome)).random(),))


@pytest.mark.parametrize("model", ["ridge", "gaussian_process"])
def test_a_landscape_that_can_be_learned_is_predicted(model):
    strategy = PredictorSearch(ToySpace(), seed=0, model=model, **SMALL)
    first = step(strategy)
    second = step(strategy)
    assert strategy.record["predicts"]
    assert strategy.record["tau"] > 0.3
    assert strategy.record["accepted"] == {"predictor": 12, "random": 4}
    assert np.mean([toy_score(g) for g in second[:12]]) > np.mean([toy_score(g) for g in first]) + 0.05


def test_pure_noise_leaves_every_draw_uniform():
    strategy = PredictorSearch(ToySpace(), seed=0, **SMALL)
    for _ in range(3):
        step(strategy, noise)
    assert not strategy.record["predicts"]
    assert strategy.record["accepted"] == {"random": 16}


def test_too_few_evaluations_predict_nothing():
    strategy = PredictorSearch(ToySpace(), seed=0, **SMALL | {"population_size": FEWEST - 1})
    step(strategy)
    step(strategy)
    assert strategy.record["tau"] is None
    assert not strategy.record["predicts"]


def test_equal_scores_have_no_tau():
    assert cross_validated_tau(None, np.zeros((20, 3)), np.ones(20)) is None


@pytest.mark.parametrize("model", ["ridge", "gaussian_process"])
def test_a_resumed_predictor_asks_the_same_while_it_predicts(model):
    whole, resumed = (PredictorSearch(ToySpace(), seed=seed, model=model, **SMALL) for seed in (0, 9))
    step(whole)
    step(whole)
    resumed.load_state_dict(json.loads(json.dumps(whole.state_dict())))
    assert step(resumed) == step(whole)
    assert resumed.predicts
    assert resumed.state_dict() == whole.state_dict()


def test_it_finds_better_ones_than_as_many_uniform_draws():
    sizes = SMALL | {"population_size": 32, "iterations": 5}
    scores = np.sort([toy_score(tuple(genome)) for genome in ToySpace().genomes.tolist()])
    uniform = scores @ np.diff((np.arange(len(scores) + 1) / len(scores)) ** (32 + 5 * 16))
    found = []
    for seed in range(6):
        strategy = PredictorSearch(ToySpace(), seed=seed, **sizes)
        while strategy.ask():
            step(strategy, lambda genome: Evaluation(genome=genome, score=(toy_score(genome),)))
        found.append(strategy.best(1)[0].score[0])
    assert np.mean(found) > uniform + 0.02


@pytest.mark.parametrize("wrong", [{"model": "forest"}, {"n_random": -1}, {"proposals": 5}, {"threshold": 2}])
def test_a_setting_that_makes_no_sense_is_one_clear_error(wrong):
    with pytest.raises(StrategyError, match=next(iter(wrong))):
        PredictorSearch(ToySpace(), seed=0, **wrong)
