"""`retrain.data`, `retrain.schedule` and `retrain.detector`: what they take, what they follow, what is refused."""

import pytest

from msnas.cli import main
from msnas.config.compose import compose
from msnas.config.retrain_recipe import changes, retrained
from msnas.setup.setup import Setup


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("retrain.data.root=D", "All stages read the same images in the same splits; retrain.data has short_side,"),
        ("retrain.data.search_val.fraction=0.2", "All stages read the same images in the same splits"),
        ("retrain.data.shortside=64", "Did you mean 'retrain.data.short_side'?"),
        ("retrain.schedule.epoch=3", "Did you mean 'retrain.schedule.epochs'?"),
        ("retrain.detector.center_sampling=1", "It belongs to detector=fcos."),
        ("retrain.schedule=6x", "retrain.schedule is a group of options; set one of retrain.schedule.epochs,"),
        ("retrain.schedule.lr=fast", "retrain.schedule.lr must be a number, but got 'fast'."),
        ("retrain.schedule.epochs=3", "Of retrain.schedule: A schedule must keep `0 < milestone < epochs`,"),
        ("retrain.data.short_side=3000", "retrain.data.long_side must be at least 3000, but got 1333."),
    ],
)
def test_a_wrong_option_is_one_line_before_there_is_a_run(word, told, tmp_path, capsys):
    assert main(["train", f"data.root={tmp_path}", f"runs_root={tmp_path}", word]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_option_of_a_users_file_is_one_line(tmp_path, capsys):
    (tmp_path / "experiment").mkdir()
    file = tmp_path / "experiment" / "mine.yaml"
    file.write_text("# @package _global_\n# Mine.\nretrain: {schedule: {epoch: 3}}\n")
    assert main(["train", f"config_dir={tmp_path}", "experiment=mine"]) == 2
    assert "no option 'retrain.schedule.epoch'. Did you mean 'retrain.schedule.epochs'?" in capsys.readouterr().err


def test_without_a_recipe_of_its_own_retraining_is_as_the_search():
    setup = Setup(compose(["scale=tiny", "data=shapes", "input=128x128"]))
    assert setup.for_retraining is setup
    assert setup.retraining_changes == {}


def test_a_frozen_backbone_refuses_what_moves_pixels_in_retraining_too(capsys):
    assert main(["train", "space=msnas_timm", "data.root=D", "retrain.data.crop=true"]) == 2
    assert "but got retrain.data.jitter=[1.0, 1.0] retrain.data.crop=true; give" in capsys.readouterr().err


def test_a_baseline_scaled_to_a_budget_keeps_its_shape_at_another_size():
    setup = Setup(
        compose(
            [
                "space=msnas_7",
                "scale=tiny",
                "data=shapes",
                "budget.macs=100e6",
                "input=128x128",
                "retrain.input=256x256",
            ]
        )
    )
    alone = setup.for_retraining
    assert alone.family.baseline_shape == setup.family.baseline_shape
    assert alone.baseline_cost.macs > 3 * setup.baseline_cost.macs
    assert (alone.budget, alone.bounded_space) == (setup.budget, setup.bounded_space)


def test_completion_offers_the_options_of_retraining(capsys):
    assert main(["completion", "bash"]) == 0
    assert {"retrain.data.short_side=", "retrain.schedule.epochs="} < set(capsys.readouterr().out.split())


def test_help_says_how_an_option_is_given_to_retraining_alone(capsys):
    assert main(["retrain", "--help", "retrain.schedule.epochs=3"]) == 0
    shown = capsys.readouterr().out
    assert "retrain.data.OPTION=" in shown
    assert "retrain.schedule.epochs=3" in shown
    assert "retrain.schedule.lr=" not in shown


@pytest.mark.parametrize(
    ("experiment", "sides", "counted"),
    [("nas_fpn", (640, 640), "auto"), ("nas_fpn_dropblock", (640, 640), "auto"), ("nas_fcos", (800, 1333), "800x1088")],
)
def test_the_papers_searches_are_retrained_at_the_papers_size(experiment, sides, counted):
    config = retrained(compose([f"experiment={experiment}"]))
    assert (config.data.short_side, config.data.long_side, config.input) == (*sides, counted)


@pytest.mark.parametrize("scale", ["small", "tiny"])
@pytest.mark.parametrize("experiment", ["nas_fpn", "nas_fcos"])
def test_smaller_scales_retrain_as_they_search(experiment, scale):
    assert changes(compose([f"experiment={experiment}", f"scale={scale}"])) == {}
