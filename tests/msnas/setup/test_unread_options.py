"""An option that nothing of a family reads is refused in one line where somebody sets it, before there is a run."""

import pytest

from msnas.cli import main
from msnas.config.compose import compose, groups
from msnas.errors import ConfigError
from msnas.files import read_json, write_json
from msnas.runs.folder import WORDS
from msnas.setup.open_run import open_new
from msnas.setup.setup import Setup

NEVER = "The FPN baseline of this space is never scaled to a budget"
EXPERIMENTS = {"nas_fpn": "nas_fpn", "nas_fcos_fpn": "nas_fcos", "nas_fcos_head": "nas_fcos"}
UNREAD = [  # of which space, a word that does nothing there, and what is said of it
    *((space, "baseline.scaled=false", NEVER) for space in ("nas_fpn", "nas_fcos_fpn", "nas_fcos_head")),
    *((space, "retrain.point=true", "FPN-style point") for space in ("nas_fpn", "nas_fcos_fpn")),
    *((space, "retrain.fpn_heads=true", "have no heads") for space in ("nas_fpn", "nas_fcos_fpn")),
    *((space, "retrain.random=2", "have no heads") for space in ("nas_fpn", "nas_fcos_fpn")),
    *((space, "train.paths=in_budget", "Only a supernet") for space in ("nas_fpn", "nas_fcos_fpn")),
    *((space, "train.sampling=walk", "Only a supernet") for space in ("nas_fpn", "nas_fcos_head")),
    ("nas_fcos_fpn", "detector.head=1,2,5,0,4,4|0", "The head is the decoder's own"),
    ("nas_fcos_fpn", "retrain.detector.head=1,2,5,0,4,4|0", "The head is the decoder's own"),
    ("nas_fcos_head", "cache.flip=0.2", "The only view of an image"),
    ("nas_fcos_fpn", "cache.jitter=[0.8,1.2]", "The only view of an image"),
    ("nas_fcos_fpn", "strategy=nsga2", "searched for their reward alone"),
    ("nas_fcos_head", "strategy=nsga2", "searched for their reward alone"),
]


@pytest.mark.parametrize(("space", "word", "told"), UNREAD)
def test_an_option_that_does_nothing_in_a_space_is_refused_before_there_is_a_run(space, word, told, tmp_path, capsys):
    places = [f"runs_root={tmp_path / 'runs'}", f"data.root={tmp_path / 'shapes'}", "data=shapes", "data.size=64"]
    small = ["data.train=12", "data.val=4", "data.search_val.minimum=4", "data.search_val.maximum=4", "data.workers=0"]
    own = [f"experiment={EXPERIMENTS[space]}", f"space={space}", "scale=tiny"]
    assert main(["search", *own, *places, *small, word]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert not list(tmp_path.glob("runs/*"))


def is_refused(words):
    try:
        Setup(compose(words)).refuse_unread(words)
    except ConfigError:
        return True
    return False


@pytest.mark.parametrize("scale", groups()["scale"])
@pytest.mark.parametrize("space", ["nas_fpn", "nas_fpn_lite", "nas_fcos_fpn", "nas_fcos_head"])
def test_what_is_shipped_is_refused_to_nobody(space, scale):
    shipped = ["baseline.scaled=true", "retrain.point=false", "train.paths=all", "retrain.random=0"]
    words = [f"space={space}", f"scale={scale}", f"detector={'fcos' if 'fcos' in space else 'retinanet'}", *shipped]
    assert not is_refused(words)


@pytest.mark.parametrize("word", ["cache.views=2", "cache.crop=true"])
def test_views_that_are_drawn_are_mirrored_as_asked(word):
    words = ["space=nas_fcos_fpn", "scale=tiny", "detector=fcos", "cache.flip=0.2"]
    assert is_refused(words)
    assert not is_refused([*words, word])


def test_an_older_run_with_such_a_word_goes_on(tmp_path):
    words = ["experiment=nas_fcos", "scale=tiny", "data.root=D", f"runs_root={tmp_path}", "run=a", "input=128x128"]
    folder = open_new(words).folder
    write_json(folder / WORDS, [*read_json(folder / WORDS), "baseline.scaled=false"])
    assert open_new([*words, "top_k=1"]).folder == folder


def test_a_fcos_baseline_stands_on_a_backbone_of_its_own():
    words = ["space=nas_fcos_fpn", "detector=fcos", "scale=tiny", "input=128x128"]
    same, other = (Setup(compose([*words, *more])).family for more in ([], ["baseline.backbone=resnet10"]))
    assert other.baseline_name.startswith("resnet10-FPN under FCOS")
    assert other.baseline_cost.params < same.baseline_cost.params
    parameters = sum(p.numel() for p in other.baseline_detector(["a"] * 80).parameters())
    assert parameters == other.baseline_cost.params
