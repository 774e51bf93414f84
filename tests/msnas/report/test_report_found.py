from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from msnas.config.compose import compose
from msnas.report import found
from supernet.nas_fcos.head_space import HeadSpace
from supernet.nas_fcos.pyramid_space import PyramidSpace


@pytest.mark.parametrize("space", [PyramidSpace(), HeadSpace()])
def test_a_nas_fcos_run_shows_the_whole_decoder(space: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    genome = space.sample(np.random.default_rng(0))
    winner = {"architecture": str(space.decode(genome)), "genome": list(genome)}
    monkeypatch.setattr(found, "space_of", lambda run: space)
    run: Any = SimpleNamespace(config=compose())
    shown = found.drawings(run, {"networks": [], "winners": [winner]})
    assert "P3" in shown["drawing"]
    assert shown["compared"] is None
