"""Matching without boolean indices gives torchvision's answers."""

import pytest
import torch
from torchvision.models.detection._utils import Matcher

from msnas.detectors.matching import WaitlessMatcher


@pytest.mark.parametrize(("high", "low"), [(0.7, 0.3), (0.5, 0.5)])
@pytest.mark.parametrize("low_quality", [False, True])
def test_matches_are_torchvisions(high, low, low_quality):
    quality = torch.rand(5, 200, generator=torch.Generator().manual_seed(0)) * 0.9
    quality[4] = 0  # an object that nothing overlaps
    quality[1, :3] = quality[1].max()  # equally good ones
    ours, theirs = (kind(high, low, allow_low_quality_matches=low_quality) for kind in (WaitlessMatcher, Matcher))
    assert torch.equal(ours(quality), theirs(quality))
