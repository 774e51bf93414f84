"""Every detector can share weights over the paths of a supernet, and give one of them away as a network of its own."""

import numpy as np
import pytest
import torch

from msnas.config.compose import compose, groups
from msnas.setup.setup import Setup


@pytest.mark.parametrize("detector", groups()["detector"])
def test_a_path_cut_out_detects_as_it_does_inside(detector):
    words = ["scale=tiny", "space.channels=8", "input=128x128", "data.short_side=64", "data.long_side=64"]
    config = compose([f"detector={detector}", *words])
    space, family = Setup(config).space, Setup(config).family
    path = space.decode(space.sample(np.random.default_rng(0)))
    whole = family.pretraining_detector(["a", "b"]).eval()
    whole.config["score_threshold"] = 0.0
    image = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0))
    [inside], [alone] = whole([image], None, path), whole.extract(path)([image])
    assert all(torch.equal(inside[name], alone[name]) for name in ("boxes", "scores", "labels"))
