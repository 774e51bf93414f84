"""`detector=` is honoured by every family, or refused in one line before there is a run and before data are read."""

import pytest

from msnas.cli import main
from msnas.config.compose import compose, groups
from msnas.families.initial_weights import pretraining_network
from msnas.setup.setup import Setup

SMALL = ["input=128x128", "scale=tiny", "space.channels=8", "baseline.channels=8", "data.root=nowhere"]
PREFIX = ["backbone.weights=none", "backbone.train=full", "space.backbone=mobilenetv3_small_050"]


@pytest.mark.parametrize("detector", groups()["detector"])
@pytest.mark.parametrize("space", [["space=msnas_7"], ["space=msnas_timm", *PREFIX]], ids=["strides", "prefix"])
def test_paths_stand_under_any_detector(space, detector):
    setup = Setup(compose([*SMALL, *space, f"detector={detector}"]))
    setup.check_detector()
    made = pretraining_network(setup.family, ["a", "b"], seed=0)
    assert f"{type(made).__module__}.{type(made).__name__}" == setup.detector.target


@pytest.mark.parametrize("stage", [["search"], ["retrain", "a"]], ids=["search", "retrain"])
@pytest.mark.parametrize(("space", "wanted"), [("nas_fpn", "retinanet"), ("nas_fcos_fpn", "fcos")])
def test_another_detector_is_refused_in_one_line_and_leaves_no_run(space, wanted, stage, tmp_path, capsys):
    words = [f"space={space}", "detector=faster_rcnn", f"data.root={tmp_path}", f"runs_root={tmp_path / 'runs'}"]
    assert main([*stage, *words]) == 2
    told = capsys.readouterr().err
    assert f"but got FasterRCNN; give detector={wanted}." in told
    assert told.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_a_backbone_is_not_trained_under_another_detector(tmp_path, capsys):
    words = ["space=nas_fcos_head", "detector=retinanet", f"data.root={tmp_path}", f"runs_root={tmp_path / 'runs'}"]
    assert main(["train", *words]) == 2
    assert "give detector=fcos." in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_costs_ask_for_no_detector(capsys):
    assert main(["sample", "space=nas_fpn", "detector=faster_rcnn", "input=128x128", "budget=none", "n=1"]) == 0
