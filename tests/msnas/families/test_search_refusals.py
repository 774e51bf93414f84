"""What a search refuses before anything is trained for it, whatever its family."""

from dataclasses import replace
from pathlib import Path

import pytest

from msnas.config.compose import compose
from msnas.engine.hardware_options import HardwareOptions
from msnas.errors import ConfigError
from msnas.setup.setup import Setup

SPACES = {
    "msnas_7": ["space=msnas_7"],
    "nas_fpn": ["space=nas_fpn", "detector=retinanet", "budget=none"],
    "nas_fcos_fpn": ["space=nas_fcos_fpn", "detector=fcos"],
}


def check_in_fp16(words):
    setup = Setup(compose(["scale=tiny", "input=128x128", "data.root=D", *words]))
    settings = setup.search(weights=Path(), folder=Path())
    setup.family.check_search(replace(settings, hardware=HardwareOptions(precision="fp16")))


@pytest.mark.parametrize("space", SPACES)
def test_candidates_that_are_trained_in_fp16_are_refused_before_the_search(space):
    with pytest.raises(ConfigError, match="precision=fp16; use fp32 or bf16"):
        check_in_fp16(SPACES[space])


def test_candidates_that_are_not_trained_may_be_scored_in_fp16():
    check_in_fp16([*SPACES["msnas_7"], "candidate.recipe=bn"])
