"""`encoder.residual_init` reaches every network of a family: paths, supernet, and the FPN that begins from scratch."""

import pytest

from msnas.config.compose import compose
from msnas.setup.setup import Setup
from supernet.strides.residuals import residual_norms

CLASSES = ["a", "b"]
SMALL = ["input=128x128", "scale=tiny", "space.channels=8", "baseline.channels=8", "data.root=D"]
SPACES = {
    "strides": ["space=msnas_7"],
    "prefix": [
        "space=msnas_timm",
        "backbone.weights=none",
        "backbone.train=full",
        "space.backbone=mobilenetv3_small_050",
    ],
}


def family_of(space, *words):
    return Setup(compose([*SMALL, *SPACES[space], *words])).family


def scales(network):
    """What the last norms of the residual branches start at, each value once."""
    return {value for norm in residual_norms(network) for value in norm.weight.tolist()}


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize(("words", "value"), [([], 0.0), (["encoder.residual_init=0.5"], 0.5)])
def test_paths_and_supernet_start_there(space, words, value):
    family = family_of(space, *words)
    architecture = family.parse(
        "1,2,1,1,2,1,0.5|8,8,16,16,16" if space == "strides" else "1,1,0.5,1,1,2,1|8,8,16,16,16"
    )
    assert scales(family.detector_of(architecture, CLASSES)) == {value}
    assert scales(family.pretraining_detector(CLASSES)) == {value}


def test_the_fpn_starts_there_too_where_it_learns_from_scratch():
    assert scales(family_of("strides", "encoder.residual_init=0.5").baseline_detector(CLASSES)) == {0.5}


def test_the_fpn_may_start_elsewhere():
    family = family_of("strides", "encoder.residual_init=1", "baseline.residual_init=0")
    assert scales(family.baseline_detector(CLASSES)) == {0.0}
