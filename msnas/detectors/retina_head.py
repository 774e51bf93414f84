"""RetinaNet's head as NAS-FPN trains it: convolutions shared by the levels, batch norm for each level apart.

"Focal Loss for Dense Object Detection", arXiv 1708.02002, section 4; norms and prediction layers as in the
NAS-FPN authors' release (tensorflow/tpu). `supernet.nas_fpn.plan_cost.head_cost` is its cost in closed form.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from supernet.conv_start import start_convs, start_normal
from supernet.nas_fpn.cell_pyramid import conv3x3
from supernet.nas_fpn.plan_cost import ANCHORS, HEAD_DEPTH

STD = 0.01  # of the weights at the start
PRIOR = 0.01  # probability of an object at the start, so that the background does not swamp the first steps


@dataclass(frozen=True)
class Predictions:
    """What a head says of the anchors of each level, in the anchors' order (row, column, anchor), float32."""

    logits: list[Tensor]  # [B, H_l * W_l * A, K]
    deltas: list[Tensor]  # [B, H_l * W_l * A, 4]
    sizes: list[tuple[int, int]]  # (H_l, W_l)


class RetinaHead(nn.Module):
    """Class logits and box deltas for `ANCHORS` anchors at every position of every level.

    channels: of the features and of both towers. lite: depthwise separable convolutions.
    """

    def __init__(self, channels: int, *, num_levels: int, num_classes: int, lite: bool = False) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.class_tower = Tower(channels, num_levels, lite=lite)
        self.box_tower = Tower(channels, num_levels, lite=lite)
        self.logits = conv3x3(channels, ANCHORS * num_classes, lite=lite)
        self.deltas = conv3x3(channels, ANCHORS * 4, lite=lite)
        if lite:  # by their fan, for two of 0.01 in a row pass nothing on
            start_convs(self)
        for conv in [_convs(self.logits)[-1], _convs(self.deltas)[-1]] if lite else _convs(self):
            start_normal(conv, STD)
        bias = _convs(self.logits)[-1].bias
        assert bias is not None
        nn.init.constant_(bias, -math.log((1 - PRIOR) / PRIOR))

    def forward(self, features: Sequence[Tensor]) -> Predictions:
        """features: one [B, C, H_l, W_l] a level."""
        classes = [self.logits(self.class_tower(x, level)) for level, x in enumerate(features)]
        boxes = [self.deltas(self.box_tower(x, level)) for level, x in enumerate(features)]
        return Predictions(
            [_by_anchor(x, self.num_classes) for x in classes],
            [_by_anchor(x, 4) for x in boxes],
            [(x.shape[-2], x.shape[-1]) for x in features],
        )


class Tower(nn.Module):
    """3x3 convolutions that serve all levels, each followed by a norm of the level's own and ReLU."""

    def __init__(self, channels: int, num_levels: int, *, lite: bool) -> None:
        super().__init__()
        self.convs = nn.ModuleList(conv3x3(channels, channels, lite=lite) for _ in range(HEAD_DEPTH))
        self.norms = nn.ModuleList(
            nn.ModuleList(nn.BatchNorm2d(channels) for _ in self.convs) for _ in range(num_levels)
        )

    def forward(self, x: Tensor, level: int) -> Tensor:
        """x: [B, C, H, W] of the `level`-th feature. Returns the same shape."""
        norms = self.norms[level]
        assert isinstance(norms, nn.ModuleList)
        for conv, norm in zip(self.convs, norms, strict=True):
            x = relu(norm(conv(x)))
        return x


def _convs(part: nn.Module) -> list[nn.Conv2d]:
    return [layer for layer in part.modules() if isinstance(layer, nn.Conv2d)]


def _by_anchor(x: Tensor, values: int) -> Tensor:
    """[B, A * values, H, W] as [B, H * W * A, values], float32."""
    batch, _, height, width = x.shape
    anchors = x.float().view(batch, ANCHORS, values, height, width).permute(0, 3, 4, 1, 2)
    return torch.reshape(anchors, (batch, -1, values))
