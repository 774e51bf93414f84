"""Run lengths that are computed around boxes are those of whole images, and so is the AP of masks."""

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask
from torch.nn.functional import interpolate
from torchvision.models.detection.roi_heads import paste_masks_in_image

from msnas.data.predicted_masks import pasted, run_lengths
from msnas.data.segmentation import encode


def drawn(number, canvas, seed):
    """Masks of random boxes of the canvas, some of which reach its borders."""
    generator = torch.Generator().manual_seed(seed)
    height, width = canvas
    low = torch.rand(number, 2, generator=generator) * torch.tensor([width, height]) * 0.8
    sides = 1 + torch.rand(number, 2, generator=generator) * torch.tensor([width, height])
    boxes = torch.cat([low, torch.minimum(low + sides, torch.tensor([width, height]))], 1)
    boxes[0] = torch.tensor([0.0, 0, width, height])
    logits = interpolate(torch.randn(number, 1, 5, 5, generator=generator) * 4 + 1, (28, 28), mode="bilinear")
    return logits.sigmoid(), boxes


def one_by_one(masks, boxes, canvas, size):
    """Each mask pasted by torchvision, resized and encoded by itself."""
    masks = paste_masks_in_image(masks, boxes, canvas)
    whole = [interpolate(mask[None], size, mode="bilinear", align_corners=False)[0, 0] > 0.5 for mask in masks]
    return [encode(mask.numpy().astype(np.uint8)) for mask in whole]


@pytest.mark.parametrize("size", [(48, 64), (75, 91), (120, 90), (200, 260)])
def test_run_lengths_are_those_of_whole_images(size):
    masks, boxes = drawn(12, (120, 160), seed=1)
    assert run_lengths(masks, boxes, (120, 160), size) == one_by_one(masks, boxes, (120, 160), size)


@pytest.mark.parametrize("fill", [0.0, 1.0])
def test_an_empty_and_a_full_mask_are_encoded_as_pycocotools_does(fill):
    masks, boxes = torch.full((1, 1, 28, 28), fill), torch.tensor([[-4.0, -4, 20, 16]])
    [found] = run_lengths(masks, boxes, (12, 16), (24, 32))
    assert found == encode(np.full((24, 32), fill, np.uint8))
    assert coco_mask.area(found) == fill * 24 * 32


def test_no_masks_are_no_run_lengths():
    assert run_lengths(torch.zeros(0, 1, 28, 28), torch.zeros(0, 4), (12, 16), (24, 32)) == []


def test_masks_are_pasted_as_torchvision_does_to_the_last_bit():
    boxes = torch.tensor([[0.0, 0, 70, 50], [-3, 4.5, 12.25, 30], [60, 40, 70, 50], [8, 9, 8.5, 9.5]])
    masks = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    assert torch.equal(pasted(masks, boxes, (50, 70)), paste_masks_in_image(masks, boxes, (50, 70)))


def test_no_masks_are_pasted_to_none():
    assert pasted(torch.rand(0, 1, 28, 28), torch.zeros(0, 4), (50, 70)).shape == (0, 1, 50, 70)
