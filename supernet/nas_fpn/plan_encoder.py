"""Backbone and neck of a one-stage detector: stacked NAS-FPN pyramids, or the standard FPN to compare with.

Both give one feature for each level P3..P7 (or P3..P6) of one width, and say after how many stacks a detector
may exit. "NAS-FPN", arXiv 1904.07392, sections 3.1 and 3.2; FPN with P6 and P7, arXiv 1708.02002, section 4.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import max_pool2d, pad

from supernet.backbone import Backbone
from supernet.conv_start import start_convs
from supernet.errors import SpaceError
from supernet.nas_fpn.cell_pyramid import MergingPyramid
from supernet.nas_fpn.dropblock import DropBlock
from supernet.nas_fpn.fpn_stack import FpnStack
from supernet.nas_fpn.plan_cost import exit_macs, feature_levels
from supernet.nas_fpn.pyramid_plan import PyramidPlan


class _LevelEncoder(nn.Module, ABC):
    """What the two necks share: the backbone, the levels, and padding to what the coarsest level needs."""

    pyramids: nn.ModuleList  # one a stack

    def __init__(
        self,
        backbone: str,
        levels: tuple[int, ...],
        channels: int,
        stacks: int,
        lite: bool,
        width: float,
        weights: str | None,
        called: str,
    ) -> None:
        super().__init__()
        if min(channels, stacks) < 1:
            raise SpaceError(f"`channels >= 1` and `stacks >= 1` must hold, but got {channels=}, {stacks=}.")
        self.num_exits = stacks
        self.levels, self.out_channels, self.num_groups, self.lite = levels, channels, len(levels), lite
        self.divisor = 2 ** max(levels)
        self.backbone = Backbone(backbone, feature_levels(levels), width=width, weights=weights, called=called)
        self.image_mean, self.image_std = self.backbone.mean, self.backbone.std

    @abstractmethod
    def _inputs(self, features: list[Tensor]) -> list[Tensor]:
        """What the first stack reads, from C3, C4, C5."""

    def exits(self, images: Tensor) -> Iterator[list[Tensor]]:
        """The pyramid after each stack, one after the other; what is not taken is not computed."""
        features = self._inputs(self._features(images))
        for pyramid in self.pyramids:
            features = pyramid(features)
            yield features

    def forward(self, images: Tensor) -> list[Tensor]:
        """[B, 3, H, W] of any size to [B, C, H' / 2**l, W' / 2**l] for each level l, finest first.

        H' and W' are H and W padded with zeros, right and below, to multiples of `divisor` (128 for P7): only
        there are pooling and nearest upsampling between all levels exact.
        """
        *_, last = self.exits(images)
        return last

    def _features(self, images: Tensor) -> list[Tensor]:
        """C3, C4, C5 (those of the levels) of the padded images."""
        height, width = images.shape[-2:]
        padded = pad(images, (0, -width % self.divisor, 0, -height % self.divisor))
        features: list[Tensor] = self.backbone(padded)
        return features


class NasFpnEncoder(_LevelEncoder):
    """A backbone and `stacks` copies of one merging-cell pyramid, each with weights of its own.

    plan: the cells, as a value or as text. lite: depthwise separable convolutions (NAS-FPNLite). dropblock:
    arguments of `DropBlock` behind every cell, None without. width: of a ResNet backbone; weights: a timm
    file for it. pooling: of gp cells, see `MergingPyramid`. extra_convs: a 1x1 and its norm before each of the two
    poolings that make C6 and C7 (mmdetection's; the authors pool alone).
    """

    def __init__(
        self,
        plan: PyramidPlan | str,
        *,
        backbone: str = "resnet50",
        channels: int = 256,
        stacks: int = 7,
        lite: bool = False,
        dropblock: Mapping[str, Any] | None = None,
        width: float = 1.0,
        weights: str | None = None,
        pooling: str = "max",
        extra_convs: bool = False,
    ) -> None:
        self.plan = PyramidPlan.parse(plan) if isinstance(plan, str) else plan
        super().__init__(backbone, self.plan.levels, channels, stacks, lite, width, weights, "network.weights")
        drop = dict(dropblock) if dropblock else None
        options = {"channels": channels, "stacks": stacks, "lite": lite, "dropblock": drop, "width": width}
        kind = {"pooling": pooling, "extra_convs": extra_convs}
        self.config: dict[str, Any] = {"plan": str(self.plan), "backbone": backbone, **options, **kind}
        self.projections = nn.ModuleList(_projection(inputs, channels) for inputs in self.backbone.channels)
        extra = len(self.levels) - len(self.projections) if extra_convs else 0
        self.extra_projections = nn.ModuleList(_projection(channels, channels) for _ in range(extra))
        make_drop = partial(DropBlock, **dropblock) if dropblock else nn.Identity
        self.pyramids = nn.ModuleList(
            MergingPyramid(self.plan, channels=channels, lite=lite, make_drop=make_drop, pooling=pooling)
            for _ in range(stacks)
        )
        for part in (self.projections, self.extra_projections, self.pyramids):
            start_convs(part)

    def exit_macs(self, input_size: tuple[int, int], *, num_classes: int) -> dict[int, int]:
        """MACs of a RetinaNet on this that stops after 1, 2, ... pyramids, at `input_size` (height, width)."""
        shape = {name: self.config[name] for name in ("stacks", "backbone", "channels", "width", "lite", "extra_convs")}
        return exit_macs(self.plan, **shape, input_size=input_size, num_classes=num_classes)

    def _inputs(self, features: list[Tensor]) -> list[Tensor]:
        inputs = [project(c) for project, c in zip(self.projections, features, strict=True)]
        for index in range(len(self.levels) - len(inputs)):  # C6 and C7
            last = self.extra_projections[index](inputs[-1]) if self.extra_projections else inputs[-1]
            inputs.append(max_pool2d(last, 2))
        return inputs


def _projection(in_channels: int, channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, channels, 1), nn.BatchNorm2d(channels))


class FpnLevelEncoder(_LevelEncoder):
    """A backbone and `stacks` standard FPNs with norms (Fig. 8a); later ones read all levels of the one before.

    lite: every 3x3 depthwise separable (FPNLite).
    """

    def __init__(
        self,
        *,
        backbone: str = "resnet50",
        channels: int = 256,
        top_level: int = 7,
        stacks: int = 1,
        lite: bool = False,
        width: float = 1.0,
        weights: str | None = None,
    ) -> None:
        if top_level not in (4, 5, 6, 7):
            raise SpaceError(f"top_level must be 4, 5, 6 or 7, but got {top_level=}.")
        levels = tuple(range(3, top_level + 1))
        super().__init__(backbone, levels, channels, stacks, lite, width, weights, "baseline.weights")
        options = {"channels": channels, "top_level": top_level, "stacks": stacks, "lite": lite, "width": width}
        self.config: dict[str, Any] = {"backbone": backbone, **options}
        inputs = [self.backbone.channels, *[[channels] * len(self.levels)] * (stacks - 1)]
        self.pyramids = nn.ModuleList(
            FpnStack(widths, num_levels=len(self.levels), channels=channels, lite=lite) for widths in inputs
        )

    def _inputs(self, features: list[Tensor]) -> list[Tensor]:
        return features
