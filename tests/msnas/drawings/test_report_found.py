import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from msnas.config.compose import compose
from msnas.report import found
from msnas.setup.setup import Setup
from supernet.nas_fcos.decoder import PUBLISHED


@pytest.mark.parametrize(
    ("name", "words"), [("nas_fcos_fpn", []), ("nas_fcos_head", [f"space.pyramid={PUBLISHED.pyramid}"])]
)
def test_a_nas_fcos_run_shows_the_whole_decoder(name: str, words: list[str]) -> None:
    setup = Setup(compose([f"space={name}", "detector=fcos", "input=128x128", *words]))
    space = setup.space
    genome = space.sample(np.random.default_rng(0))
    winner = {"architecture": str(space.decode(genome)), "genome": list(genome)}
    run: Any = SimpleNamespace(setup=setup)
    shown = found.drawings(run, {"networks": [], "winners": [winner]})
    assert "P3" in shown["drawing"]
    assert shown["compared"] is None


def test_no_two_drawings_of_dead_blocks_share_an_id() -> None:
    setup = Setup(compose(["space=msnas_r18", "space.live=false"]))
    run: Any = SimpleNamespace(setup=setup)
    winner = {"architecture": "1,2,2,1,2,1,0.5,1,1,0.5,1,1,0.5|8,8,16,16,32"}
    shown = found.drawings(run, {"networks": [], "winners": [winner]})
    one, two = (set(re.findall(r'id="([mph]\w*|\w+-[mph]\w*)"', shown[name])) for name in ("drawing", "compared"))
    assert any("-h" in name for name in one)
    assert not one & two
