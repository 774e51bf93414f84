"""NAS-FPN end to end at its smallest: plans proposed, trained from scratch, scored, retrained, at every exit."""

import json

import numpy as np
import pytest
import torch

from evolution.driver import evaluate_with, run_search
from evolution.history import History
from evolution.multi_scale import MultiScaleEvolution
from msnas.cli import main
from msnas.config.compose import compose, groups
from msnas.controller.controller import Controller
from msnas.data.opening import open_data
from msnas.data.settings import DataSettings
from msnas.engine.evaluation import evaluate
from msnas.engine.exits import evaluate_exits
from msnas.export import model_file
from msnas.families.nas_fpn.scratch_recipe import ScratchRecipe
from msnas.families.search_processes import evaluator as make_evaluator
from msnas.setup.setup import Setup
from supernet.mac_counter import count_macs, count_params
from supernet.nas_fpn.plan_cost import exit_macs, nas_fpn_cost
from supernet.nas_fpn.pyramid_plan import DISCOVERED

WORDS = ["space=nas_fpn", "detector=retinanet", "schedule=nas_fpn", "input=64x64"]
WORDS += ["space.top_level=6", "space.num_cells=5", "space.channels=8", "space.stacks=2"]
WORDS += ["data.short_side=64", "data.long_side=64", "detector.score_threshold=0", "baseline.channels=8"]
WORDS += ["baseline.width=0.125", "candidate.iterations=3", "candidate.batch=4", "candidate.lr=0.1", "data.workers=0"]
SIZES = {"population_size": 2, "children": 2, "iterations": 1}
STRATEGIES = {
    "controller": lambda space: Controller(space, seed=0, **SIZES, hidden=8, max_attempts=50),
    "evolution": lambda space: MultiScaleEvolution(space, seed=0, **SIZES, n_random=1),
}


def made(*words):
    return Setup(compose([*WORDS, "hardware.device=cpu", "data.root=D", *words]))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("shapes"))
    drawing = {"name": "shapes", "root": folder, "size": 64, "train": 20, "val": 6, "workers": 0}
    search_val = {"minimum": 4, "maximum": 4}
    settings = {**drawing, "short_side": 64, "long_side": 64, "search_val": search_val}
    return open_data(DataSettings.from_mapping(settings), seed=0)


@pytest.fixture(scope="module")
def space():
    return made().space


def test_a_candidate_is_trained_with_the_schedules_decay_and_its_own_optimizer():
    recipe = made("schedule.decay_norms=false", "schedule.weight_decay=0.01", "candidate.optimizer=adamw").family.recipe
    schedule = recipe.schedule()
    assert (schedule.decay_norms, schedule.weight_decay, schedule.optimizer) == (False, 0.01, "adamw")


def test_the_fpn_begins_from_the_weights_of_the_networks_beside_it():
    assert made("network.weights=timm").family.baseline.weights == "timm"


@pytest.fixture
def evaluator(data, tmp_path):
    setup = made()
    return make_evaluator(setup.family, setup.search(weights=tmp_path, folder=tmp_path), None, data)


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_search_runs_to_its_end(name, evaluator, space, tmp_path):
    with History(tmp_path / "history.sqlite", fingerprint={"test": 1}) as history:
        engine = evaluate_with(evaluator)
        result = run_search(STRATEGIES[name](space), engine, history, top_k=1, replicates=1)
    assert (result.failed, len(result.winners)) == (0, 1)
    assert space.is_valid(result.winners[0].genome)


def test_the_same_candidate_gets_the_same_score(evaluator, space):
    rng = np.random.default_rng(0)
    first, other = space.sample(rng), space.sample(rng)
    scores = [evaluator(genome) for genome in (first, other, first)]
    assert [one.status for one in scores] == ["ok"] * 3
    assert scores[0].metrics == scores[2].metrics


def test_all_candidates_start_from_the_same_weights(evaluator, space):
    rng = np.random.default_rng(1)
    first, second = (evaluator.supernet.extract(space.decode(space.sample(rng))).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_every_exit_gets_its_numbers_from_one_pass(data, space):
    plan = space.decode(space.sample(np.random.default_rng(2)))
    model = made("detector.anytime=true").family.detector_of(plan, data.train.classes)
    judged = evaluate_exits(model, data.val)
    assert list(judged) == [1, 2]
    assert judged[2].numbers == evaluate(model, data.val).numbers


def test_costs_are_those_of_the_built_detectors():
    words = ["space=nas_fpn", "detector=retinanet", "network.backbone=resnet18", "network.stacks=2", "input=128x128"]
    family = Setup(compose(words)).family
    with torch.device("meta"):
        built = [family.detector_of(DISCOVERED, range(91)), family.baseline_detector(range(91))]
        counted = [(count_macs(_Predict(m.eval()), torch.empty(1, 3, 128, 128)), count_params(m)) for m in built]
    costs = family.cost(DISCOVERED), family.baseline_cost
    assert [(cost.macs, cost.params) for cost in costs] == counted


def test_eval_shows_every_exit_of_a_saved_model(data, space, tmp_path, capsys):
    plan = space.decode(space.sample(np.random.default_rng(2)))
    model = made("detector.anytime=true").family.detector_of(plan, data.train.classes).eval()
    model_file.save(tmp_path, model, {"classes": data.train.classes, "category_ids": data.train.category_ids})
    root = data.val.file(0).parent.parent
    words = ["eval", str(tmp_path), "data=coco", f"data.root={root}", "data.search_val.minimum=4"]
    assert main([*words, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [one["exit_after"] for one in answer["exits"]] == [1, 2]
    assert answer["exits"][0]["macs"] < answer["exits"][1]["macs"] == nas_fpn_macs(plan)
    assert answer["ap"] == answer["exits"][1]["ap"] == evaluate(model, data.val).numbers["ap"]
    assert main(words) == 0
    assert "exit_after=2" in capsys.readouterr().out


def nas_fpn_macs(plan):
    shape = {"backbone": "resnet10", "channels": 8, "width": 0.125, "stacks": 2}
    return nas_fpn_cost(plan, **shape, input_size=(64, 64), num_classes=5).macs


def test_an_exit_costs_what_is_run_before_it():
    shape = {"backbone": "resnet10", "channels": 16, "input_size": (128, 128), "num_classes": 3}
    family = made("network.width=1", "network.channels=16", "network.stacks=3", "detector.anytime=true").family
    with torch.device("meta"):
        model = family.detector_of(DISCOVERED, range(3)).eval()
        images = torch.empty(1, 3, 128, 128)
        counted = {number: count_macs(_Predict(model, [number]), images) for number in (1, 2, 3)}
    assert exit_macs(DISCOVERED, stacks=3, **shape) == counted


class _Predict(torch.nn.Module):
    """The network alone, as its cost is counted."""

    def __init__(self, model, exits=None):
        super().__init__()
        self.model, self.exits = model, exits

    def forward(self, images):
        return [x for found in self.model.predict(images, exits=self.exits).values() for x in found.logits]


def test_the_proxy_schedule_is_the_papers_shortened():
    schedule = ScratchRecipe(iterations=1000).schedule()
    assert (schedule.lr, schedule.warmup_start, schedule.milestones) == (0.08, 0.008, (800,))


@pytest.mark.parametrize("name", [name for name in groups()["space"] if name.startswith("nas_fpn")])
def test_every_space_of_the_family_builds_what_it_samples(name):
    family = Setup(compose([f"space={name}", "detector=retinanet", "input=128x128"])).family
    space = family.space
    plan = space.decode(space.sample(np.random.default_rng(0)))
    with torch.device("meta"):
        networks = family.scored_detector(plan, "abc"), family.detector_of(plan, "abc")
        assert [network.encoder.plan for network in networks] == [plan, plan]
        assert family.baseline_detector("abc").encoder.levels == space.levels
    assert family.recipe.schedule().steps == 17_180
