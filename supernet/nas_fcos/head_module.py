"""The dense head of FCOS over a list of operations: NAS-FCOS's searched head, and FCOS's own four convolutions.

arXiv 1906.04423, sections 3.2.2 and 3.2.3 (operations, where weights begin to be shared); FCOS, arXiv 1904.01355.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from supernet.conv_start import start_normal
from supernet.nas_fcos.decoder import FCOS_HEAD, HEAD_OPS, LEVELS, Head
from supernet.nas_fcos.operations import group_norm, operation

MAX_LOG_DISTANCE = 9.0  # 8,000 strides: a training that goes astray stays finite

BRANCHES = ("classes", "boxes")


class HeadModule(nn.Module):
    """Class logits, distances and centerness for every level; the centerness sits on the branch `centerness_on`.

    `head` None is FCOS's own: four 3x3 convolutions, which have a bias (the searched ones have none). pixels: what is
    trained are distances in pixels of P3..P7, as mmdetection has it, and not in strides.
    """

    def __init__(
        self,
        head: Head | None,
        *,
        channels: int,
        num_classes: int,
        centerness_on: str = "classes",
        pixels: bool = False,
    ) -> None:
        super().__init__()
        self.log_units = [level * math.log(2) if pixels else 0.0 for level in LEVELS]  # strides, in what is trained
        own, head = head is None, head or FCOS_HEAD
        self.class_branch = Branch(head, channels, conv_bias=own)
        self.box_branch = Branch(head, channels, conv_bias=own)
        self.logits = nn.Conv2d(channels, num_classes, 3, padding=1)
        self.distances = nn.Conv2d(channels, 4, 3, padding=1)
        self.centerness = nn.Conv2d(channels, 1, 3, padding=1)
        self.centerness_on = centerness_on
        self.scales = nn.Parameter(torch.ones(len(LEVELS)))
        predictions = (self.logits, self.distances, self.centerness)
        published = (self.class_branch, self.box_branch) if own else ()  # searched operations start as torch has them
        for part in (*published, *predictions):
            for conv in part.modules():
                if isinstance(conv, nn.Conv2d):
                    start_normal(conv, 0.01)
        nn.init.constant_(self.logits.bias, -math.log((1 - 0.01) / 0.01))  # type: ignore[arg-type]

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """features: P3..P7, each [B, C, H_l, W_l].

        Returns logits [B, N, K], distances [B, N, 4] (left, top, right, bottom in units of the level's stride, all
        positive) and centerness logits [B, N], N = sum over the levels of H_l * W_l, levels in order, row by row.
        """
        logits, distances, centerness = [], [], []
        for level, feature in enumerate(features):
            classes = self.class_branch(feature, level)
            boxes = self.box_branch(feature, level)
            logits.append(_flatten(self.logits(classes)))
            logarithm = self.scales[level] * self.distances(boxes).float() - self.log_units[level]
            distances.append(_flatten(torch.exp(logarithm.clamp(max=MAX_LOG_DISTANCE))))
            centerness.append(_flatten(self.centerness(boxes if self.centerness_on == "boxes" else classes)).squeeze(2))
        return torch.cat(logits, 1), torch.cat(distances, 1), torch.cat(centerness, 1)


class Branch(nn.Module):
    """The list of operations; those before the sharing index exist once for every level."""

    def __init__(self, head: Head, channels: int, *, conv_bias: bool) -> None:
        super().__init__()
        copies = [len(LEVELS) if index < head.share else 1 for index in range(len(head.ops))]
        self.layers = nn.ModuleList(
            nn.ModuleList(operation(HEAD_OPS[op], channels, group_norm, conv_bias=conv_bias) for _ in range(count))
            for op, count in zip(head.ops, copies, strict=True)
        )

    def forward(self, x: Tensor, level: int) -> Tensor:
        """x: [B, C, H, W] of the `level`-th feature. Returns the same shape."""
        for copies in self.layers:
            assert isinstance(copies, nn.ModuleList)
            x = copies[level if len(copies) > 1 else 0](x)
        return x


def _flatten(x: Tensor) -> Tensor:
    """[B, C, H, W] as [B, H * W, C]."""
    return x.flatten(2).transpose(1, 2)
