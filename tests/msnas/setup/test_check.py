"""Options that no stage could work with are refused before anything is written."""

import pytest
from coco_folders import CocoFolder

from msnas.cli import main
from msnas.config.compose import compose
from msnas.errors import ConfigError
from msnas.files import write_json
from msnas.setup.make_family import option_groups
from msnas.setup.open_run import open_existing, open_new, setup_of
from msnas.setup.setup import Setup

FROZEN = ("space=msnas_timm", "backbone.train=frozen", "backbone.weights=timm")
NO_FILE = r"must be none, timm, package or a file of weights, but there is no file /nope\.pth"


def of_run(folder: CocoFolder) -> list[str]:
    return [f"data.root={folder.root}", f"runs_root={folder.root / 'runs'}", "run=a"]


@pytest.fixture
def weights(folder: CocoFolder) -> str:
    """A file that was there when a run began."""
    path = folder.root / "weights.pth"
    path.touch()
    return f"backbone.weights={path}"


@pytest.mark.parametrize("word", ["data.jitter=[0.5,1.5]", "data.crop=true"])
def test_a_frozen_backbone_refuses_what_moves_pixels_before_there_is_a_run(folder, word, capsys):
    assert main(["train", *FROZEN, *of_run(folder), word]) == 2
    assert f"but got {'data.jitter=[0.5, 1.5]' if 'jitter' in word else 'data.jitter=[1.0, 1.0] data.crop=true'}" in (
        capsys.readouterr().err
    )
    assert not (folder.root / "runs").exists()


@pytest.mark.parametrize("how", ["slow", "full"])
def test_a_trained_backbone_takes_jitter_and_crops(how):
    config = compose(["space=msnas_timm", f"backbone.train={how}", "data.jitter=[0.5,1.5]", "data.crop=true"])
    setup = Setup(config)
    setup.check()  # raises nothing
    assert not setup.family_class.learns_on_features(option_groups(config))


def test_an_unknown_sampling_of_paths_is_refused_before_there_is_a_run(folder, capsys):
    assert main(["train", *of_run(folder.write()), "scale=tiny", "train.sampling=bogus"]) == 2
    assert "train.sampling must be one of uniform, walk, but got 'bogus'" in capsys.readouterr().err
    assert not (folder.root / "runs" / "a").exists()


@pytest.mark.parametrize(
    "command", ["check", "cost", "latency", "report", "retrain", "sample", "search", "space", "status", "train"]
)
def test_every_command_refuses_weights_that_are_no_file(command, capsys):
    assert main([command, "space=msnas_timm", "data.root=D", "backbone.weights=/nope.pth"]) == 2
    assert "msnas: backbone.weights must be" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("space", "option"),
    [
        ("msnas_r18", "baseline.weights"),
        ("msnas_timm", "backbone.weights"),
        ("nas_fcos_fpn", "backbone.weights"),
        ("nas_fcos_fpn", "network.weights"),
        ("nas_fcos_head", "baseline.weights"),
        ("nas_fpn", "network.weights"),
        ("nas_fpn_lite", "baseline.weights"),
    ],
)
def test_every_option_that_names_weights_must_name_a_file(space, option):
    with pytest.raises(ConfigError, match=f"^{option} {NO_FILE}"):
        Setup(compose([f"space={space}", f"{option}=/nope.pth"])).check()


def test_a_stage_that_begins_needs_the_weights_of_its_run(folder, weights):
    run = open_new([*FROZEN, *of_run(folder), weights])
    (folder.root / "weights.pth").unlink()
    with pytest.raises(ConfigError, match="there is no file"):
        open_existing(of_run(folder), stage="search")
    assert run.done("search") is None


def test_what_is_complete_needs_no_weights_any_more(folder, weights):
    run = open_new([*FROZEN, *of_run(folder), weights])
    write_json(run.stage("search") / "done.json", {})
    (folder.root / "weights.pth").unlink()
    assert setup_of(of_run(folder)).space_name == "msnas_timm"
    assert open_existing(of_run(folder), stage="search").folder == run.folder
