"""Boxes are coded and resized as torchvision does, bit for bit."""

import pytest
import torch
from torchvision.models.detection._utils import BoxCoder
from torchvision.models.detection.transform import resize_boxes

from msnas.detectors.box_coding import WaitlessBoxCoder, resized

WEIGHTS = [(1.0, 1.0, 1.0, 1.0), (10.0, 10.0, 5.0, 5.0)]


def boxes(number, seed):
    corners = torch.rand(number, 2, 2, generator=torch.Generator().manual_seed(seed)) * 300
    return torch.cat([corners.amin(dim=1), corners.amax(dim=1) + 1], dim=1)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_deltas_are_those_of_torchvision(weights):
    pair = boxes(500, seed=0), boxes(500, seed=1)
    assert torch.equal(WaitlessBoxCoder(weights).encode_single(*pair), BoxCoder(weights).encode_single(*pair))


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("classes", [1, 3])
def test_boxes_are_those_of_torchvision(weights, classes):
    deltas = 4 * torch.randn(500, 4 * classes, generator=torch.Generator().manual_seed(2))
    ours, theirs = (kind(weights).decode_single(deltas, boxes(500, seed=0)) for kind in (WaitlessBoxCoder, BoxCoder))
    assert torch.equal(ours, theirs)


def test_resized_boxes_are_those_of_torchvision():
    for before, after in [((427, 640), (800, 1199)), ((333, 500), (128, 192)), ((97, 41), (1000, 423))]:
        assert torch.equal(resized(boxes(500, seed=0), before, after), resize_boxes(boxes(500, seed=0), before, after))
