"""The NAS-FPN pyramid as a module: merging cells over the features of all levels.

Ghiasi et al., "NAS-FPN", arXiv 1904.07392, section 3.1, Figs. 3, 4 and 6; details as in the authors' release
(tensorflow/tpu, models/official/detection).
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d

from supernet.errors import SpaceError
from supernet.nas_fpn.pyramid_plan import Cell, PyramidPlan

MakeDrop = Callable[[], nn.Module]
POOLINGS = ("max", "average")


class MergingPyramid(nn.Module):
    """One pyramid: features of its levels in, new ones of the same levels and width out; so it stacks.

    pooling: of gp cells: "max", as the authors have it: the coarser input's maximum weights the finer one; "average",
    as mmcv's GlobalPoolingCell in this place: the finer input's average weights the coarser one.
    """

    def __init__(
        self,
        plan: PyramidPlan,
        *,
        channels: int,
        lite: bool = False,
        make_drop: MakeDrop = nn.Identity,
        pooling: str = "max",
    ) -> None:
        super().__init__()
        if pooling not in POOLINGS:
            raise SpaceError(f"pooling must be one of {', '.join(POOLINGS)}, but got {pooling!r}.")
        self.plan, self.pooling = plan, pooling
        self.cells = nn.ModuleList(relu_conv_norm(channels, lite=lite, drop=make_drop()) for _ in plan.cells)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """One [B, C, H / 2**l, W / 2**l] for each level l, finest first, to the same shapes."""
        known = list(features)  # candidates by id
        for cell, leftover, rcb in zip(self.plan.cells, self.plan.leftovers(), self.cells, strict=True):
            merged = self._merge(cell, known)  # step 4
            for candidate in leftover:  # of the same level, nothing to resample
                merged = merged + known[candidate]
            known.append(rcb(merged))  # step 5
        return [known[candidate] for candidate in self.plan.outputs()]

    def _merge(self, cell: Cell, known: Sequence[Tensor]) -> Tensor:
        first, second = (
            resample(known[source], cell.level - self.plan.level_of(source)) for source in (cell.first, cell.second)
        )
        if cell.op == "sum":
            return first + second
        coarser, finer = (first, second) if self.plan.carried(cell) == cell.first else (second, first)
        return global_pooling(coarser, finer) if self.pooling == "max" else average_pooling(finer, coarser)


def resample(x: Tensor, levels: int) -> Tensor:
    """`x` [B, C, H, W] made `levels` levels coarser (max-pool) or, where negative, finer (nearest)."""
    if levels > 0:
        return max_pool2d(x, 2**levels)
    return interpolate(x, scale_factor=float(2**-levels), mode="nearest") if levels else x


def global_pooling(carried: Tensor, weighted: Tensor) -> Tensor:
    """carried + sigmoid(global max of carried) * weighted, channel by channel (Fig. 4b). All [B, C, H, W]."""
    attention = torch.sigmoid(carried.amax(dim=(2, 3), keepdim=True))  # [B, C, 1, 1]
    return carried + attention * weighted


def average_pooling(carried: Tensor, weighted: Tensor) -> Tensor:
    """carried + sigmoid(global average of carried) * weighted, channel by channel. All [B, C, H, W]."""
    return carried + torch.sigmoid(carried.mean(dim=(2, 3), keepdim=True)) * weighted


def relu_conv_norm(channels: int, *, lite: bool, drop: nn.Module) -> nn.Sequential:
    """R-C-B: no activation behind the norm; DropBlock comes last (section 4.4)."""
    return nn.Sequential(nn.ReLU(), conv3x3(channels, channels, lite=lite), nn.BatchNorm2d(channels), drop)


def conv3x3(in_channels: int, channels: int, *, lite: bool, stride: int = 1) -> nn.Module:
    """A 3x3 convolution with bias; `lite`: depthwise without bias, then 1x1 with bias (as SSDLite)."""
    if not lite:
        return nn.Conv2d(in_channels, channels, 3, stride, padding=1)
    depthwise = nn.Conv2d(in_channels, in_channels, 3, stride, padding=1, groups=in_channels, bias=False)
    return nn.Sequential(depthwise, nn.Conv2d(in_channels, channels, 1))
