"""Which networks of a history stand for its front."""

import numpy as np
import pytest

from evolution.history import History
from evolution.strategy import Evaluation
from msnas.errors import ConfigError, RunError
from msnas.families.front import pareto_front
from msnas.files import write_json
from msnas.pipeline.front_choice import evenly, front_choices
from msnas.setup.open_run import open_new

WORDS = ["space=msnas_7", "scale=tiny", "data=shapes", "input=64x64", "budget=none", "run=r", "front.networks=4"]


def paths_of(run):
    """Five architectures with their costs, dearer and dearer."""
    space, rng = run.setup.space, np.random.default_rng(0)
    drawn = {genome: space.cost(genome) for genome in (space.sample(rng) for _ in range(41))}
    return sorted(drawn.items(), key=lambda item: item[1].macs)[::10]


def run_of(place, scores):
    """A run whose search has given the first paths these scores."""
    run = open_new([*WORDS, f"runs_root={place}"])
    folder = run.stage("search")
    with History(folder / "history.sqlite", fingerprint={}) as history:
        for (genome, cost), score in zip(paths_of(run), scores, strict=False):
            history.append(Evaluation(genome=genome, score=(score,), cost=cost.by_name()))
    write_json(folder / "done.json", {})
    return run


def test_the_front_is_what_nothing_as_cheap_beats():
    assert pareto_front([(3, 0.2), (1, 0.1), (2, 0.3), (2, 0.1), (4, 0.3), (5, 0.4)]) == {1, 2, 5}


def test_networks_are_evenly_spread_by_cost_and_keep_both_ends():
    costs = [10.0, 11, 12, 13, 20, 28, 29, 30]
    assert evenly([(cost, cost) for cost in costs], 3) == [10, 20, 30]
    assert evenly([(cost, cost) for cost in costs], 5) == [10, 13, 20, 28, 30]


def test_a_small_front_is_taken_whole():
    assert evenly([(1.0, "a"), (9.0, "b")], 5) == ["a", "b"]


def test_the_cheapest_comes_first_with_its_score(tmp_path):
    run = run_of(tmp_path, (0.1, 0.2, 0.3, 0.25, 0.4))
    texts = [str(run.setup.space.decode(genome)) for genome, _ in paths_of(run)]
    choices = front_choices(run)
    assert [one.name for one in choices] == ["front 1", "front 2", "front 3", "front 4"]
    assert [(str(one.architecture), one.one_shot) for one in choices] == [
        (texts[index], score) for index, score in ((0, 0.1), (1, 0.2), (2, 0.3), (4, 0.4))
    ]


def test_what_is_outside_of_the_budget_is_left_out(tmp_path):
    run = run_of(tmp_path, (0.1, 0.2, 0.3, 0.35, 0.4))
    ceiling = paths_of(run)[4][1].macs - 1
    bounded = open_new([*WORDS, f"runs_root={tmp_path}", "run=b", f"budget.macs=<={ceiling}"])
    (run.folder / "search").rename(bounded.folder / "search")
    assert [one.one_shot for one in front_choices(bounded)] == [0.1, 0.2, 0.3, 0.35]


@pytest.mark.parametrize("scores", [(0.4, 0.3, 0.2, 0.1, 0.0), (0.1, 0.2)])
def test_a_history_without_a_front_is_refused_in_a_line(tmp_path, scores):
    with pytest.raises(
        RunError, match=r"Run r has no front: of \d evaluated networks \d are not beaten.*nsga2"
    ) as told:
        front_choices(run_of(tmp_path, scores))
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("networks", [2, 9])
def test_a_family_has_three_to_eight_networks(tmp_path, networks):
    with pytest.raises(ConfigError, match="3 to 8"):
        _ = open_new([*WORDS, f"runs_root={tmp_path}", f"front.networks={networks}"]).setup.front
