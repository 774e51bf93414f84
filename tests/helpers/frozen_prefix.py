"""An encoder whose first part is frozen, as small as can be; worker processes import it."""

import torch
from torch import nn

CHANNELS = (4, 6)


class FrozenPrefix(nn.Module):
    """Two strided convolutions, cached at strides 8 and 16, under one convolution for each of five groups:
    the first reads stride 8, the others stride 16."""

    out_channels, num_groups, divisor = 8, 5, 64
    roi_levels = (2, 6)
    shared_heads = False
    feature_strides = (8, 16)

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale
        self.first = nn.Conv2d(3, CHANNELS[0], 9, stride=8, padding=4)
        self.second = nn.Conv2d(CHANNELS[0], CHANNELS[1], 3, stride=2, padding=1)
        self.groups = nn.ModuleList(nn.Conv2d(CHANNELS[min(g, 1)], 8, 3, padding=1) for g in range(5))

    def prefix(self, images):
        fine = self.first(images) * self.scale
        return {8: fine, 16: self.second(fine)}

    def from_features(self, features, architecture=None):
        return [group(features[8 if g == 0 else 16]) for g, group in enumerate(self.groups)]

    def forward(self, images):
        return self.from_features(self.prefix(images))


def make_frozen_prefix(scale: float = 1.0) -> FrozenPrefix:
    """The same weights every time."""
    torch.manual_seed(0)
    return FrozenPrefix(scale)
