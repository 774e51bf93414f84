"""An image as a frozen network has seen it: its features, which stand where its pixels stand."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from msnas.data.sending import sent


@dataclass(frozen=True)
class CachedImage:
    """Features of one padded image and the (height, width) of the image inside it, pixels.

    maps: [C, h, w] of each of the `strides`, finest first; of the image padded to the right and below.
    """

    maps: tuple[Tensor, ...]
    strides: tuple[int, ...]
    size: tuple[int, int]

    def to(self, device: torch.device) -> "CachedImage":
        """The same on `device`."""
        return CachedImage(tuple(sent(m, device) for m in self.maps), self.strides, self.size)


def stacked(images: Sequence[CachedImage], strides: Sequence[int]) -> dict[int, Tensor]:
    """[B, C, h, w] float32 of each of `strides`; smaller maps are padded with zeros to the right and below."""
    levels = {}
    for stride in strides:
        maps = [image.maps[image.strides.index(stride)] for image in images]
        height, width = (max(m.shape[side] for m in maps) for side in (1, 2))
        level = torch.zeros(len(maps), maps[0].shape[0], height, width, device=maps[0].device)
        for row, one in zip(level, maps, strict=True):
            row[:, : one.shape[1], : one.shape[2]] = one
        levels[stride] = level
    return levels
