"""The operations that a NAS-FCOS decoder is made of (arXiv 1906.04423, Table 1 and section 3.2.2).

Every one keeps channels and resolution and ends in a norm and a ReLU, except `skip`.
"""

from collections.abc import Callable
from math import gcd

import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample, pad
from torchvision.ops import deform_conv2d

from supernet.nas_fcos.decoder_cost import DEFORMABLE_GROUPS

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
        fast = x.device.type == "cpu" and not torch.compiler.is_compiling()  # an exported graph holds the operator
        convolve = deformable_by_sampling if fast else torchvisions
        return convolve(x.float(), offset, weight, bias.float(), torch.sigmoid(mask)).to(x.dtype)


def torchvisions(x: Tensor, offset: Tensor, weight: Tensor, bias: Tensor, mask: Tensor) -> Tensor:
    """In float32: its kernels know no bfloat16."""
    out: Tensor = deform_conv2d(x, offset, weight, bias, padding=weight.shape[-1] // 2, mask=mask)
    return out


def deformable_by_sampling(x: Tensor, offset: Tensor, weight: Tensor, bias: Tensor, mask: Tensor) -> Tensor:
    """torchvision's `deform_conv2d` at stride 1 and constant size, as bilinear samples and one matrix product.

    On a CPU several times as fast, above all backwards; all the samples, k * k times the input, stay in memory for it.
    x: [B, C, H, W]; offset: [B, G * k * k * 2, H, W], y before x, in pixels; weight: [O, C, k, k], k odd; bias: [O];
    mask: [B, G * k * k, H, W]. Returns [B, O, H, W].
    """
    (batch, channels, height, width), size = x.shape, weight.shape[-1]
    taps, groups = size * size, mask.shape[1] // size**2
    # Padded to powers of two, a whole pixel stays one in the grid's units; next to it the offset's gradient is another.
    rows, columns = 1 << (height - 1).bit_length(), 1 << (width - 1).bit_length()
    padded = pad(x, (0, columns - width, 0, rows - height)).reshape(batch * groups, -1, rows, columns)
    step = torch.arange(size, device=x.device) - size // 2
    down, across = offset.reshape(batch * groups, taps, 2, height, width).unbind(2)
    y = down + step.repeat_interleave(size)[:, None, None] + torch.arange(height, device=x.device)[:, None]
    x = across + step.repeat(size)[:, None, None] + torch.arange(width, device=x.device)
    grid = torch.stack(((2 * x + 1) / columns - 1, (2 * y + 1) / rows - 1), dim=-1)
    samples = grid_sample(padded, grid.flatten(1, 2), align_corners=False)  # [B * G, C / G, k * k * H, W]
    weighted = samples.reshape(batch, groups, -1, taps, height * width) * mask.reshape(batch, groups, 1, taps, -1)
    out = weight.flatten(1) @ weighted.reshape(batch, channels * taps, -1) + bias[:, None]
    return out.reshape(batch, -1, height, width)
