"""`msnas init D` where ImageNet weights are at hand: a search behind a pretrained backbone."""

import importlib.util
from itertools import pairwise

import pytest
import torch
from coco_folders import real_data

from msnas.cli import _expanded as expanded
from msnas.cli import main, parse
from msnas.config.compose import compose, groups
from msnas.files import read_json
from msnas.setup import pretrained_start
from msnas.setup.setup import Setup

CPU = "hardware.device=cpu"
NO_WEIGHTS = importlib.util.find_spec(pretrained_start.WEIGHTS) is None
SIZES = "data.short_side=64 data.long_side=64 data.workers=0 data.search_val.minimum=2 schedule.batch=2 train.steps=2"
SHORT = "retrain.steps=1 retrain.seeds=1 retrain.point=false candidate.bn_images=16 candidate.bn_batch=16 top_k=1"
SEARCH = "strategy.population_size=2 strategy.children=2 strategy.iterations=1 search.finalists=1 search.replicates=1"


@pytest.fixture
def here(folder, monkeypatch):
    """An empty current folder beside the data, on a machine with weights."""
    monkeypatch.chdir(folder.root.parent)
    monkeypatch.setattr(pretrained_start, "weights_at_hand", lambda: True)
    return folder


def with_boxes(folder, side):
    """All boxes as squares of so many pixels; images have 64 x 48."""
    for split in (folder.train, folder.val):
        for item in split["annotations"]:
            item["bbox"], item["area"] = [*item["bbox"][:2], side, side], side * side
    return folder.write()


def init(*words, data="data"):
    """The configuration of the file that is written."""
    assert main(["init", str(data), CPU, "out=data.msnas", *words]) == 0
    return compose(parse("train", expanded("@data.msnas")).words)


def test_few_images_are_searched_behind_the_weights_at_hand(here):
    here.write()
    config = init()
    assert (config.space_name, config.backbone.weights, config.space.cut) == ("msnas_timm", "package", 32)


def test_many_images_are_searched_from_scratch(here, monkeypatch):
    monkeypatch.setattr(pretrained_start, "FEW_IMAGES", 6)
    here.write()
    assert init().space_name == "msnas_r18"


def test_without_weights_images_are_searched_from_scratch(here, monkeypatch):
    monkeypatch.setattr(pretrained_start, "weights_at_hand", lambda: False)
    here.write()
    assert init().space_name == "msnas_r18"


@pytest.mark.parametrize("word", ["space=msnas_r34", "space.base_stride=2", "budget.latency_ms=9"])
def test_words_that_mean_another_space_are_kept(here, word):
    here.write()
    assert not pretrained_start.starts_pretrained(["data=coco", f"data.root={here.root}", word], [word], 6)


def test_a_space_that_was_asked_for_needs_no_weights_at_hand(here, monkeypatch):
    monkeypatch.setattr(pretrained_start, "weights_at_hand", lambda: False)
    here.write()
    config = init("space=msnas_timm")
    assert (config.backbone.weights, config.candidate.recipe) == ("timm", "bn")


def test_weights_of_the_package_are_not_for_another_backbone(here):
    here.write()
    assert init("space=msnas_timm", "space.backbone=mobilenetv3_small_050").backbone.weights == "timm"


@pytest.mark.parametrize(("side", "finest"), [(3, 4), (24, 8)])
def test_only_small_objects_get_maps_of_stride_4(here, side, finest):
    with_boxes(here, side)
    assert init().space.finest == finest


def test_images_are_no_larger_than_they_came(here):
    with_boxes(here, 3)
    assert init().data.short_side == 128  # the smallest there is, for images of 48


@pytest.mark.parametrize(("images", "steps"), [(6, 1500), (400, 2000), (4000, 6000)])
def test_steps_follow_the_images_within_bounds(images, steps):
    setup = Setup(compose(["data=coco", "data.root=D", "scale=tiny", "space=msnas_timm"]))
    assert f"train.steps={steps}" in dict(pretrained_start.training_options(setup, images))


@pytest.mark.parametrize("side", [3, 24])
def test_the_budget_holds_architectures_of_the_space(here, side):
    with_boxes(here, side)
    setup = Setup(init())
    assert setup.budget.tolerance <= 0.05
    assert setup.bounded_space.count() >= 100


def test_the_budget_holds_architectures_at_the_size_for_a_gpu(here):
    here.write()
    assert Setup(init("scale=small")).bounded_space.count() >= 100


@pytest.mark.parametrize("detector", groups()["detector"])
def test_the_file_fits_every_detector(here, detector):
    for split in (here.train, here.val):
        for item in split["annotations"]:
            item["segmentation"] = [[5, 5, 9, 5, 9, 9]]
    with_boxes(here, 3)
    assert Setup(init(f"detector={detector}")).bounded_space.count() >= 100


def test_what_is_given_wins(here):
    here.write()
    config = init("space.channels=24", "data.short_side=96", "train.steps=7")
    assert (config.space.channels, config.data.short_side, config.train.steps) == (24, 96, 7)


def test_every_choice_has_its_reason(here):
    here.write()
    init()
    lines = (here.root.parent / "data.msnas").read_text().splitlines()
    keys = ("space.cut", "space.finest", "space.channels", "data.short_side", "train.steps", "budget.tolerance")
    reasons = {line.partition("=")[0]: before for before, line in pairwise(lines)}
    assert [key for key in keys if not reasons[key].startswith("# ")] == []


@pytest.mark.skipif(NO_WEIGHTS, reason="extra `weights`")
def test_the_file_runs_to_the_report(here, monkeypatch):
    monkeypatch.setenv("MSNAS_CACHE", str(here.root.parent / "cache"))
    threads = torch.get_num_threads()
    here.write()
    init(*SIZES.split())
    words = ["hardware.train_threads=1", "hardware.workers=0", *SHORT.split(), *SEARCH.split()]
    assert main(["train", "@data.msnas", "run=r", *words]) == 0
    assert [main([stage, "run=r"]) for stage in ("search", "retrain", "report")] == [0, 0, 0]
    rows = read_json(here.root.parent / "runs" / "r" / "retrain" / "table.json")["rows"]
    assert {"winner 1", "FPN baseline", "FPN, the winner's heads"} <= {row["name"] for row in rows}
    torch.set_num_threads(threads)


@pytest.mark.parametrize(("name", "finest", "short_side"), [("bccd", 8, 192), ("aquarium", 4, 256)])
def test_real_data_get_the_stride_that_their_objects_need(here, name, finest, short_side):
    config = init("scale=tiny", data=real_data(name))
    assert (config.space.finest, config.data.short_side) == (finest, short_side)
    assert Setup(config).bounded_space.count() >= 100
