"""NAS-FCOS from the configuration: detectors, their costs, and a search as the command line would start it."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from msnas.cli import main
from msnas.config.compose import compose, groups
from msnas.setup.setup import Setup
from supernet.cost import Cost
from supernet.errors import BudgetError, SpaceError
from supernet.mac_counter import count_macs, count_params
from supernet.nas_fcos import pyramids_for_heads
from supernet.nas_fcos.decoder import PUBLISHED, Decoder

FAMILY = [name for name in groups()["space"] if name.startswith("nas_fcos")]
NARROW = ["detector=fcos", "space.backbone=resnet18", "network.channels=16"]
CLASSES = ["a", "b", "c"]
SIZE = "input=128x128"


class Network(torch.nn.Module):
    """What a detector computes for a batch."""

    def __init__(self, detector):
        super().__init__()
        self.detector = detector

    def forward(self, images):
        return self.detector.head(self.detector.encoder(images))


@pytest.mark.parametrize("decoder", [Decoder(), PUBLISHED], ids=["fcos", "nas_fcos"])
@pytest.mark.parametrize("out_channels", ["null", "16"])
def test_costs_are_those_of_the_built_detectors(decoder, out_channels):
    config = compose(
        ["space=nas_fcos_fpn", *NARROW, f"network.out_channels={out_channels}", "space.num_classes=3", SIZE]
    )
    family = Setup(config).family
    with torch.device("meta"):
        network = Network(family.detector_of(decoder, CLASSES))
        counted = Cost(count_macs(network, torch.empty(1, 3, 128, 128)), count_params(network))
    assert family.cost(decoder) == counted


@pytest.mark.parametrize(
    ("option", "build"),
    [
        ("backbone.weights", lambda family: family.pretraining_detector(["a"])),
        ("network.weights", lambda family: family.detector_of(PUBLISHED, ["a"])),
        ("baseline.weights", lambda family: family.baseline_detector(["a"])),
    ],
)
def test_weights_that_do_not_fit_are_reported_under_the_option_that_names_them(option, build):
    words = ["experiment=nas_fcos", "scale=tiny", "input=128x128", f"{option}=package"]
    with pytest.raises(SpaceError, match=f"^{re.escape(option)}=package must go with"):
        build(Setup(compose(words)).family)


@pytest.mark.parametrize("deformable", [0, 2])
def test_the_baseline_costs_what_it_counts_with_deformable_convolutions_too(deformable):
    words = ["space=nas_fcos_fpn", *NARROW, "space.num_classes=3", SIZE, f"baseline.deformable={deformable}"]
    family = Setup(compose(words)).family
    with torch.device("meta"):
        network = Network(family.baseline_detector(CLASSES))
        counted = Cost(count_macs(network, torch.empty(1, 3, 128, 128)), count_params(network))
    assert family.baseline_cost == counted
    assert family.baseline_name.count("Deform") == bool(deformable)


def test_a_whole_decoder_costs_what_its_half_costs_beside_the_fixed_one(capsys):
    words = ["space=nas_fcos_fpn", *NARROW, "input=128x128", "--json"]
    costs = []
    for text in (str(PUBLISHED.pyramid), f"{PUBLISHED.pyramid}/fcos", str(PUBLISHED)):
        assert main(["cost", text, *words]) == 0
        costs.append(json.loads(capsys.readouterr().out)["macs"])
    assert costs[0] == costs[1] != costs[2]


@pytest.mark.parametrize(("space", "text"), [("nas_fcos_fpn", PUBLISHED.head), ("nas_fcos_head", PUBLISHED.pyramid)])
def test_the_cost_of_the_other_half_is_told_in_one_line(space, text, capsys):
    assert main(["cost", str(text), f"space={space}", *NARROW, "input=128x128"]) == 2
    assert "has the form" in capsys.readouterr().err


@pytest.mark.parametrize("name", FAMILY)
def test_every_space_of_the_family_builds_what_it_samples(name):
    family = Setup(compose([f"space={name}", *NARROW, SIZE])).family
    space = family.space
    decoder = space.decoder(space.decode(space.sample(np.random.default_rng(0))))
    with torch.device("meta"):
        detector = family.detector_of(decoder, CLASSES)
    assert detector.config["head"] == str(decoder.head or "fcos")
    assert detector.encoder.config["pyramid"] == str(decoder.pyramid or "fcos")


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("scale", groups()["scale"])
def test_every_scale_builds_the_space_and_the_recipe(name, scale):
    family = Setup(compose([f"space={name}", f"scale={scale}", "detector=fcos", SIZE])).family
    recipe = family.candidate
    assert family.space.count() > 0
    tiny = (12, 4e-3)
    assert (recipe.iterations, recipe.lr) == {"small": (100, 8e-4), "tiny": tiny, "tiny_fine": tiny}.get(
        scale, (300, 8e-4)
    )


def test_heads_are_searched_on_the_pyramid_that_the_space_gives():
    """Its costs counted the given one while the features were those of FCOS's own."""
    words = ["space=nas_fcos_head", f"space.pyramid={PUBLISHED.pyramid}", "scale=tiny", "detector=fcos", SIZE]
    with torch.device("meta"):
        trained = Setup(compose(words)).family.pretraining_detector(CLASSES)
    assert trained.encoder.config["pyramid"] == str(PUBLISHED.pyramid)
    assert trained.config["head"] == "fcos"


def test_the_papers_scale_searches_on_the_papers_images_and_smaller_ones_on_their_own():
    """4,000 images of VOC train decoders, 1,715 score them, at a short side of 384 (section 4.1.1)."""
    paper, small = (compose(["experiment=nas_fcos", f"scale={scale}"]) for scale in ("paper", "small"))
    held = paper.data.search_val
    assert min(held.maximum, round(held.fraction * 5715)) == 1715
    assert (paper.data.short_side, paper.input) == (384, "800x1088")
    assert (paper.cache.images, small.cache.images) == (4000, None)
    assert (small.data.short_side, small.input) == (416, "auto")


@pytest.mark.parametrize("channels", [16, 256])
def test_a_budget_that_no_head_fits_into_is_refused_before_the_search(channels, monkeypatch):
    monkeypatch.setattr(pyramids_for_heads, "TRIES", 30)
    words = ["space=nas_fcos_fpn", "data=shapes", *NARROW, SIZE, "space.channels=16", f"heads.channels={channels}"]
    setup = Setup(compose([*words, "budget.macs=<=6.5e8"]))
    settings = setup.search(weights=Path(), folder=Path())
    if channels == 16:
        setup.family.check_search(settings)
        return
    with pytest.raises(BudgetError, match="Some head of 256 channels must fit into macs"):
        setup.family.check_search(settings)
