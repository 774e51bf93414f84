"""The controller learns what is rewarded, and goes on bit for bit from its saved state."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from evolution.errors import StrategyError
from evolution.predictor import FEWEST
from evolution.random_search import RandomSearch
from evolution.strategy import Evaluation
from msnas.config.compose import build, compose, groups
from msnas.controller.controller import Controller
from msnas.controller.policy import Policy, clipped_objective
from msnas.setup.setup import Setup
from supernet.nas_fcos.head_space import HeadSpace
from supernet.nas_fpn.cell_space import CellSpace
from supernet.space import Budget

SMALL = {
    "population_size": 12,
    "children": 8,
    "iterations": 4,
    "hidden": 16,
    "minibatch": 8,
    "max_attempts": 40,
}
SPACE = CellSpace(num_cells=3, top_level=4)
TARGET = (0, 1, 1, 1, 2, 0, 0, 0, 3, 1, 1, 0)


def matches(genome, target=TARGET):
    """The share of genes that equal the target's: slopes to one known optimum, 1.0."""
    return sum(a == b for a, b in zip(genome, target, strict=True)) / len(target)


def scored(genome, target=TARGET):
    return Evaluation(genome=genome, score=(matches(genome, target),))


def failed(genome):
    return Evaluation(genome=genome, status="failed", reason="out of memory")


def make(seed=0, space=SPACE, **changes):
    return Controller(space, seed=seed, **{**SMALL, **changes})


def run(strategy, evaluate=scored):
    asked = []
    while genomes := strategy.ask():
        strategy.tell([evaluate(genome) for genome in genomes])
        asked.append(genomes)
    return asked


def copy_of(strategy):
    other = make(seed=99)
    other.load_state_dict(json.loads(json.dumps(strategy.state_dict(), allow_nan=False)))
    return other


def test_it_finds_the_optimum_and_beats_random_search_by_15_percent_over_10_seeds():
    """8.3 million genomes, about 120 evaluations; random search has 208."""
    space = CellSpace(num_cells=3, top_level=5)
    sizes = {"population_size": 16, "children": 16, "iterations": 12}
    learned, drawn = [], []
    for seed in range(10):
        target = space.sample(np.random.default_rng(1000 + seed))
        options = {"lr": 0.015, "hidden": 24, "minibatch": 16, "epochs": 4, "max_attempts": 64}
        for found, strategy in (
            (learned, Controller(space, seed=seed, **sizes, **options)),
            (drawn, RandomSearch(space, seed=seed, **sizes)),
        ):
            run(strategy, lambda genome, target=target: scored(genome, target))
            found.append(strategy.best(1)[0].score[0])
    assert sum(best == 1 for best in learned) >= 9
    assert np.mean(learned) > np.mean(drawn) + 0.15


SHIPPED = {  # what is searched, and updates of the controller in the test: a part of the samples that are shipped
    "heads": ("nas_fcos", 4, 600),
    "pyramids": ("nas_fcos", 5, 2800),
    "cells": ("nas_fpn", 2, 17000),
}


@pytest.mark.parametrize("what", SHIPPED)
def test_the_shipped_values_beat_random_search_over_10_seeds_in_a_sixth_of_the_samples(what):
    """All options but `iterations` as they are shipped; each seed has another optimum, towards which rewards rise."""
    experiment, iterations, samples = SHIPPED[what]
    config = compose([f"experiment={experiment}"])
    options = OmegaConf.to_container(config.strategy, resolve=True)
    space = build(OmegaConf.to_container(config.space, resolve=True))
    if what == "heads":
        space = HeadSpace()
        options |= {name: config.heads[name] for name in ("population_size", "children", "iterations")}
    assert options["population_size"] + options["children"] * options["iterations"] == samples
    options["iterations"] = iterations
    sizes = {name: options[name] for name in ("population_size", "children", "iterations")}
    assert sizes["population_size"] + sizes["children"] * iterations <= samples / 6
    learned, drawn = [], []
    for seed in range(10):
        target = space.sample(np.random.default_rng(1000 + seed))
        for found, strategy in (
            (learned, build(options, space=space, seed=seed)),
            (drawn, RandomSearch(space, seed=seed, **sizes)),
        ):
            last = run(strategy, lambda genome, target=target: scored(genome, target))[-1]
            found.append((np.mean([matches(genome, target) for genome in last]), strategy.best(1)[0].score[0]))
    (mean, best), (drawn_mean, drawn_best) = np.mean(learned, axis=0), np.mean(drawn, axis=0)
    assert mean > drawn_mean + 0.08  # of the last generation
    assert best > drawn_best + 0.03


SMALL_SCALES = {  # what is searched, where, and seeds; heads: as the second half of a search has them
    ("heads", "tiny"): (["experiment=nas_fcos"], 12),
    ("heads", "small"): (["experiment=nas_fcos"], 10),
    ("pyramids", "small"): (["experiment=nas_fcos"], 4),
    ("cells", "small"): (["experiment=nas_fpn"], 4),
}


@pytest.mark.parametrize(("what", "scale"), SMALL_SCALES)
def test_what_a_small_scale_ships_is_ahead_of_random_search_by_two_standard_errors(what, scale):
    """The mean of the five best, which differs less from seed to seed than the best. Pyramids and cells at
    scale=tiny are left out: nothing is shown there (conf/strategy/by_scale_tiny.yaml)."""
    words, seeds = SMALL_SCALES[what, scale]
    setup = Setup(compose([*words, f"scale={scale}", "input=128x128", "data.root=D"]))
    options = dict(setup.family.evaluations(setup.strategy.options)[-1 if what == "heads" else 0])
    space = HeadSpace() if what == "heads" else setup.space
    sizes = {name: options[name] for name in ("population_size", "children", "iterations")}
    ahead = []
    for seed in range(seeds):
        target = space.sample(np.random.default_rng(1000 + seed))
        found = []
        for strategy in (
            replace(setup.strategy, options=options)(space=space, seed=seed),
            RandomSearch(space, seed=seed, **sizes, max_attempts=1000),
        ):
            run(strategy, lambda genome, target=target: scored(genome, target))
            found.append(np.mean([best.score[0] for best in strategy.best(5)]))
        ahead.append(found[0] - found[1])
    assert np.mean(ahead) > 2 * np.std(ahead, ddof=1) / np.sqrt(seeds)


@pytest.mark.parametrize("experiment", ["nas_fpn", "nas_fcos"])
@pytest.mark.parametrize("scale", ["tiny", "tiny_fine", "small"])
def test_every_search_of_a_small_scale_proposes_after_enough_evaluations_for_its_predictor(experiment, scale):
    """Heads at scale=tiny had one generation after six, so that all of them were drawn at random."""
    setup = Setup(compose([f"experiment={experiment}", f"scale={scale}", "input=128x128", "data.root=D"]))
    for options in setup.family.evaluations(setup.strategy.options):
        known = [options["population_size"] + options["children"] * done for done in range(options["iterations"])]
        assert sum(number >= FEWEST for number in known) >= 2


@pytest.mark.parametrize("experiment", ["nas_fpn", "nas_fcos"])
def test_a_controller_is_the_default_only_where_it_takes_hundreds_of_steps(experiment):
    """An update takes epochs x samples / minibatch steps of Adam; below some 400 in all it stays where it began."""
    for scale in groups()["scale"]:
        strategy = compose([f"experiment={experiment}", f"scale={scale}"]).strategy
        samples = strategy.population_size + strategy.children * strategy.iterations
        if strategy._target_.endswith("Controller"):
            assert samples * strategy.epochs / strategy.minibatch > 400
        else:
            assert strategy._target_.startswith("evolution.")
            assert samples < 400


def test_resumed_equals_uninterrupted_at_every_generation():
    strategy = make()
    whole = run(make())
    generation = 0
    while strategy.ask():
        assert copy_of(strategy).ask() == strategy.ask() == whole[generation]  # saved between ask and tell
        strategy = copy_of(strategy)
        strategy.tell([scored(genome) for genome in strategy.ask()])
        assert copy_of(strategy).state_dict() == strategy.state_dict()
        strategy = copy_of(strategy)
        generation += 1
    assert generation == len(whole)


def test_the_order_of_results_does_not_matter():
    first, second = make(), make()
    for _ in range(3):
        first.tell([scored(genome) for genome in first.ask()])
        second.tell([scored(genome) for genome in reversed(second.ask())])
    assert first.state_dict() == second.state_dict()


def test_same_seed_same_search_and_another_seed_another():
    assert run(make(seed=1)) == run(make(seed=1)) != run(make(seed=2))


def test_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    run(make(iterations=1))
    assert torch.equal(torch.get_rng_state(), before)


def test_every_genome_is_valid_inside_the_budget_and_asked_once():
    space = CellSpace(num_cells=6, top_level=5, channels=8, input_size=(64, 64))
    low, high = space.cost_range()
    bounded = space.within(Budget("macs", (low + high) / 2, mode="ceiling"))
    asked = [genome for generation in run(make(space=bounded), constant) for genome in generation]
    assert all(bounded.is_valid(genome) for genome in asked)
    assert len(asked) == len(set(asked)) == 12 + 4 * 8


def constant(genome):
    return Evaluation(genome=genome, score=(0.1,))


def test_a_repeated_draw_counts_again_but_is_not_scored_again():
    strategy, asked, updates = make(lr=0.03), [], []
    improve = strategy._improve
    strategy._improve = lambda samples: updates.append(samples) or improve(samples)
    asked = run(strategy)
    drawn_more = [len(samples) > len(genomes) for samples, genomes in zip(updates, asked, strict=True)]
    assert any(drawn_more)
    assert sum(len(genomes) for genomes in asked) == len(strategy.rewards)


def test_a_policy_that_repeats_itself_only_ends_the_search():
    strategy = make(lr=0.1, iterations=50)
    run(strategy)
    assert "no new genome" in strategy.stopped


def test_it_goes_on_when_everything_failed():
    strategy = make()
    assert len(run(strategy, failed)) == 5
    assert strategy.best(3) == []


def test_the_baseline_is_a_moving_average_of_what_came_before():
    strategy = make(baseline_decay=0.5)
    assert strategy._advantages([1.0, 2.0, 2.0]).tolist() == [0.0, 1.0, 0.5]
    assert strategy.baseline == 1.75


def test_the_objective_stops_where_the_ratio_leaves_the_clip():
    log_old = torch.zeros(2, 1)
    log_new = torch.tensor([[1.5], [0.5]]).log()
    good = clipped_objective(log_new, log_old, torch.tensor([1.0, 1.0]), clip=0.2)
    bad = clipped_objective(log_new, log_old, torch.tensor([-1.0, -1.0]), clip=0.2)
    assert good.item() == pytest.approx((1.2 + 0.5) / 2)
    assert bad.item() == pytest.approx(-(1.5 + 0.8) / 2)


def test_probabilities_of_all_genomes_sum_to_one():
    space = CellSpace(num_cells=2, top_level=4)
    policy = Policy(space.cardinalities, space.allowed, hidden=8, init=0.5)
    genomes = [()]
    for _ in space.cardinalities:
        genomes = [(*genome, gene) for genome in genomes for gene in space.allowed(genome)]
    log_probability, entropies = policy.evaluate(genomes)
    assert log_probability.sum(1).exp().sum().item() == pytest.approx(1, abs=1e-4)
    assert entropies.isfinite().all()


def test_samples_follow_the_probabilities():
    space = CellSpace(num_cells=2, top_level=4)
    torch.manual_seed(0)
    policy = Policy(space.cardinalities, space.allowed, hidden=8, init=2.0)
    drawn = policy.sample(4000, np.random.default_rng(0))
    favourite = max(set(drawn), key=drawn.count)
    expected = policy.evaluate([favourite])[0].sum().exp().item()
    assert drawn.count(favourite) / 4000 == pytest.approx(expected, rel=0.15)


def test_the_default_config_has_the_published_numbers():
    config = compose(["strategy=controller"]).strategy
    strategy = build(config, space=CellSpace(), seed=0)
    lstm = strategy.policy.lstm
    assert (strategy.optimizer.defaults["lr"], strategy.entropy, strategy.baseline_decay) == (
        3.5e-4,
        1e-5,
        0.95,
    )
    assert (lstm.hidden_size, strategy.minibatch, config.population_size) == (100, 20, 100)
    assert max(float(p.detach().abs().max()) for p in strategy.policy.parameters()) <= 0.1


@pytest.mark.parametrize("wrong", [{"lr": 0}, {"clip": 1}, {"minibatch": 0}, {"children": -1}])
def test_a_setting_that_makes_no_sense_is_one_clear_error(wrong):
    with pytest.raises(StrategyError, match=next(iter(wrong))):
        make(**wrong)


def test_a_state_of_another_strategy_is_refused():
    with pytest.raises(StrategyError, match="cannot be loaded"):
        make().load_state_dict({"strategy": "Other"})


def test_the_record_holds_all_that_was_drawn_new_or_not():
    strategy = make()
    genomes = strategy.ask()
    strategy.tell([scored(genome) for genome in genomes])
    drawn = [tuple(genome) for genome in strategy.record["drawn"]]
    assert len(drawn) == strategy.record["attempts"]
    assert set(genomes) <= set(drawn)
