"""Cached images of one batch stand on one canvas, padded with zeros as pixels are."""

import torch

from msnas.data.cached_image import CachedImage, stacked


def image(height, width):
    maps = (torch.rand(2, height // 8, width // 8).half(), torch.rand(3, height // 16, width // 16).half())
    return CachedImage(maps, (8, 16), (height - 5, width - 3))


def test_maps_are_stacked_in_single_precision():
    one, other = image(64, 128), image(64, 128)
    levels = stacked([one, other], (8, 16))
    shapes = {stride: (level.dtype, tuple(level.shape)) for stride, level in levels.items()}
    assert shapes == {8: (torch.float32, (2, 2, 8, 16)), 16: (torch.float32, (2, 3, 4, 8))}
    assert torch.equal(levels[8][1], other.maps[0].float())


def test_only_the_strides_asked_for_are_stacked():
    assert set(stacked([image(64, 64)], (16,))) == {16}


def test_smaller_maps_are_padded_with_zeros():
    portrait, landscape = image(128, 64), image(64, 128)
    fine = stacked([portrait, landscape], (8,))[8]
    assert tuple(fine.shape) == (2, 2, 16, 16)
    assert torch.equal(fine[0, :, :, :8], portrait.maps[0].float())
    assert fine[0, :, :, 8:].abs().max() == 0


def test_a_cached_image_moves_with_its_size():
    moved = image(64, 64).to(torch.device("cpu"))
    assert moved.size == (59, 61)
