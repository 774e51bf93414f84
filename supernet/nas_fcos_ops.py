"""The operations that a NAS-FCOS decoder is made of (arXiv 1906.04423, Table 1 and section 3.2.2).

Every one keeps channels and resolution and ends in a norm and a ReLU, except `skip`.
"""

from collections.abc import Callable
from math import gcd

import torch
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

from supernet.nas_fcos_cost import DEFORMABLE_GROUPS

Norm = Callable[[int], nn.Module]


def group_norm(channels: int) -> nn.Module:
    """GroupNorm of 32 groups; below 64 channels fewer: a group has two values even on a 1x1 map."""
    return nn.GroupNorm(gcd(32, channels // 2, channels) or 1, channels)


def operation(name: str, channels: int, norm: Norm, *, conv_bias: bool = False) -> nn.Module:
    """The operation `name` ("sep5x5_d6", "dconv3x3", "conv1x1", "skip", ...) at constant width.

    `conv_bias` gives plain convolutions a bias, as FCOS's own head has.
    """
    if name == "skip":
        return nn.Identity()
    size = int(name[name.index("x") - 1])
    dilation = int(name.partition("_d")[2] or 1)
    conv: nn.Module
    if name.startswith("sep"):
        conv = SeparableConv(channels, size, dilation)
    elif name.startswith("dconv"):
        conv = DeformableConv(channels, size)
    else:
        conv = nn.Conv2d(channels, channels, size, padding=size // 2, bias=conv_bias)
    return nn.Sequential(conv, norm(channels), nn.ReLU())


class SeparableConv(nn.Sequential):
    """Depthwise k x k, then pointwise 1x1; no norm between the two, no bias."""

    def __init__(self, channels: int, size: int, dilation: int = 1) -> None:
        padding = dilation * (size // 2)
        super().__init__(
            nn.Conv2d(channels, channels, size, padding=padding, dilation=dilation, groups=channels, bias=False),
            nn.Conv2d(channels, channels, 1, bias=False),
        )


class DeformableConv(nn.Module):
    """Modulated deformable convolution (DCNv2): the offsets and the mask of every tap come from the input itself."""

    def __init__(self, channels: int, size: int = 3) -> None:
        super().__init__()
        self.taps = DEFORMABLE_GROUPS * size * size
        self.conv = nn.Conv2d(channels, channels, size, padding=size // 2)
        self.offset = nn.Conv2d(channels, 3 * self.taps, size, padding=size // 2)
        nn.init.zeros_(self.offset.weight)  # starts on the regular grid, every tap weighted 1/2
        nn.init.zeros_(self.offset.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """x: [B, C, H, W]. Returns the same shape."""
        offset, mask = self.offset(x).float().split((2 * self.taps, self.taps), dim=1)
        weight, bias = self.conv.weight.float(), self.conv.bias
        assert bias is not None
        out: Tensor = deform_conv2d(  # in float32: its kernels know no bfloat16
            x.float(), offset, weight, bias.float(), padding=self.conv.padding, mask=torch.sigmoid(mask)
        )
        return out.to(x.dtype)
