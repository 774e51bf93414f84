"""The parts of an MSNAS encoder: the stem, residual blocks that may halve or double the map, the mixed block.

"Multi-scale Network Architecture Search for Object Detection", section 3; blocks as in ResNet (arXiv
1512.03385), the bottleneck as v1.5 (its stride on the 3x3 convolution).
"""

from torch import Tensor, nn
from torch.nn import functional as F

from supernet.strides.first_stage_cost import STEM_CHANNELS

_BRANCHES: dict[float, str] = {0.5: "up", 1: "keep", 2: "down"}  # a module's name cannot hold the dot of 0.5


class Stem(nn.Sequential):
    """7x7 convolution of stride 2 to `channels`, BN, ReLU, and a 3x3 max-pool unless `base_stride` is 2.

    [B, 3, H, W] to [B, channels, H / base_stride, W / base_stride].
    """

    def __init__(self, base_stride: int, channels: int = STEM_CHANNELS) -> None:
        super().__init__(*_conv_bn(3, channels, kernel=7, stride=2), nn.ReLU(inplace=True))
        self.out_channels = channels
        if base_stride == 4:
            self.append(nn.MaxPool2d(kernel_size=3, stride=2, padding=1))


class ResidualBlock(nn.Module):
    """relu(residual(x) + shortcut(x)), the whole of it at twice the size where `stride` is 0.5.

    [B, in_channels, h, w] to [B, out_channels, h / stride, w / stride].
    """

    def __init__(self, in_channels: int, out_channels: int, stride: float, residual: nn.Sequential) -> None:
        super().__init__()
        # The last norm starts at 0 and so a block as its shortcut, as in timm's ResNets: one recipe with the baseline.
        nn.init.zeros_(residual[-1].weight)  # type: ignore[arg-type]
        self.doubles = stride == 0.5
        self.residual = residual
        self.shortcut: nn.Module
        if stride == 1 and in_channels == out_channels:
            self.shortcut = nn.Identity()
        else:
            self.shortcut = nn.Sequential(*_conv_bn(in_channels, out_channels, 1, _conv_stride(stride)))

    def forward(self, x: Tensor) -> Tensor:
        if self.doubles:
            x = F.interpolate(x, scale_factor=2, mode="nearest")
        return F.relu(self.residual(x) + self.shortcut(x), inplace=True)


class BasicBlock(ResidualBlock):
    """Two 3x3 convolutions, in_channels -> C -> C; the first one strides."""

    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: float) -> None:
        residual = nn.Sequential(
            *_conv_bn(in_channels, channels, 3, _conv_stride(stride)),
            nn.ReLU(inplace=True),
            *_conv_bn(channels, channels, 3),
        )
        super().__init__(in_channels, channels, stride, residual)


class Bottleneck(ResidualBlock):
    """1x1, 3x3 and 1x1 convolutions, in_channels -> C -> C -> 4C; the 3x3 strides."""

    expansion = 4

    def __init__(self, in_channels: int, channels: int, stride: float) -> None:
        residual = nn.Sequential(
            *_conv_bn(in_channels, channels, 1),
            nn.ReLU(inplace=True),
            *_conv_bn(channels, channels, 3, _conv_stride(stride)),
            nn.ReLU(inplace=True),
            *_conv_bn(channels, self.expansion * channels, 1),
        )
        super().__init__(in_channels, self.expansion * channels, stride, residual)


BLOCKS: dict[str, type[BasicBlock] | type[Bottleneck]] = {"basic": BasicBlock, "bottleneck": Bottleneck}


class MixedBlock(nn.Module):
    """One residual block for each of `strides`, with weights of their own; a path takes one of them."""

    def __init__(self, block: str, in_channels: int, channels: int, strides: tuple[float, ...]) -> None:
        super().__init__()
        self.branches = nn.ModuleDict(
            {_BRANCHES[stride]: BLOCKS[block](in_channels, channels, stride) for stride in strides}
        )

    def branch(self, stride: float) -> nn.Module:
        """The ordinary block behind `stride`."""
        return self.branches[_BRANCHES[stride]]


def _conv_bn(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv, nn.BatchNorm2d(out_channels)


def _conv_stride(stride: float) -> int:
    """A block that doubles the map interpolates first and then convolves at stride 1."""
    return 2 if stride == 2 else 1
