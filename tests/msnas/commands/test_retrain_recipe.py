"""Retraining with a recipe of its own: what is trained by it, what is refused, what is told."""

import json

import pytest
import torch
from tiny_words import TINY, fitting

from msnas.cli import main
from msnas.config.compose import compose
from msnas.files import read_json
from msnas.report.page import report
from msnas.setup.open_run import open_existing, stored_setup
from msnas.setup.setup import Setup

CELL = "3,1,4,gp|1,5,4,sum|0,6,3,sum|6,7,4,sum|7,8,5,gp|6,9,7,gp|9,10,6,gp"
SPACE = ["space=nas_fpn", "detector=retinanet", "schedule=nas_fpn", "scale=tiny", "data=shapes", "space.stacks=1"]
LARGER = ["retrain.data.short_side=160", "retrain.data.long_side=160"]
OWN = [*LARGER, "retrain.schedule.batch=2", "retrain.detector.detections=50"]


def words(root, *more):
    return [*fitting(TINY, more), *more, f"runs_root={root}", f"data.root={root.parent / 'shapes'}"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    threads = torch.get_num_threads()
    yield tmp_path_factory.mktemp("recipe") / "runs"
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def run(root):
    """A named architecture and the baseline, both retrained at another size."""
    assert main(["retrain", CELL, "run=r", *words(root, *SPACE), "retrain.fpn=true", *OWN]) == 0
    return root / "r"


def results(run):
    return {path.parent.name.partition("-")[0]: read_json(path) for path in run.glob("retrain/*/result.json")}


def models(run):
    return [read_json(path) for path in run.glob("retrain/*/model.json")]


def test_winner_and_baseline_are_trained_at_the_size_of_retraining(run):
    assert [model["preprocessing"]["short_side"] for model in models(run)] == [160, 160]


def test_they_have_the_detector_of_retraining(run):
    assert {model["detector"]["options"]["detections"] for model in models(run)} == {50}


def test_costs_are_counted_at_the_size_of_retraining(run):
    setup = Setup(compose([*words(run.parent, *SPACE), "input=256x256"]))
    assert results(run)["01"]["macs"] == setup.family.cost(setup.family.parse(CELL)).macs
    assert results(run)["baseline"]["macs"] == setup.baseline_cost.macs


def test_a_run_keeps_what_differs_alone(run):
    kept = stored_setup(run).retraining_changes
    assert kept == {"data.short_side": 160, "data.long_side": 160, "schedule.batch": 2, "detector.detections": 50}
    text = (run / "config.yaml").read_text()
    assert "\n  schedule:\n    batch: 2\n  detector:\n    detections: 50\n" in text


def test_table_and_report_say_how_they_were_trained_and_where_macs_are_counted(run, capsys):
    assert main(["retrain", "run=r", f"runs_root={run.parent}"]) == 0
    said = "trained with data.short_side=160, data.long_side=160, schedule.batch=2, detector.detections=50, unlike"
    counted = "MACs are counted at 256x256, those of the search at 128x128."
    shown = capsys.readouterr().out
    page = report([run]).read_text()
    assert said in shown
    assert counted in shown
    assert said in page
    assert counted in page


def test_another_recipe_is_refused_once_retraining_has_begun(run, capsys):
    assert main(["retrain", "run=r", f"runs_root={run.parent}", "retrain.data.long_side=200"]) == 2
    told = "Run r was made with retrain.data.long_side=160, but got retrain.data.long_side=200;"
    assert told in capsys.readouterr().err


def test_an_option_that_followed_the_search_is_refused_too(run, capsys):
    assert main(["retrain", "run=r", f"runs_root={run.parent}", "retrain.schedule.clip=1"]) == 2
    assert "was made with retrain.schedule.clip=10.0, but got retrain.schedule.clip=1;" in capsys.readouterr().err


def test_a_checkpoint_tells_how_images_were_read(run):
    setup = open_existing(["run=r", f"runs_root={run.parent}"]).setup
    assert "data" not in setup.network_fingerprint
    assert "'short_side': 160" in setup.for_retraining.network_fingerprint["data"]


def test_eval_reads_images_as_retraining_did(run, capsys):
    [model] = run.glob("retrain/01-*")
    assert main(["eval", str(model), "run=r", f"runs_root={run.parent}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ap"] == pytest.approx(results(run)["01"]["ap"], abs=1e-6)
