"""The standard feature pyramid as RetinaNet has it, in the form that NAS-FPN compares with, and that stacks.

FPN, arXiv 1612.03144; P6 and P7, arXiv 1708.02002, section 4; a batch norm behind every output as in the NAS-FPN
authors' release (tensorflow/tpu, models/official/detection).
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import interpolate, relu

from supernet.conv_start import start_convs
from supernet.nas_fpn.cell_pyramid import conv3x3


class FpnStack(nn.Module):
    """Features of the first levels in, one of `channels` for each of `num_levels` out: on those, another one stacks.

    in_channels: of the inputs, consecutive levels, finest first; levels beyond follow by strided 3x3 convolutions.
    lite: every 3x3 depthwise separable (FPNLite).
    """

    def __init__(self, in_channels: Sequence[int], *, num_levels: int, channels: int, lite: bool) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(inputs, channels, 1) for inputs in in_channels)
        self.outputs = nn.ModuleList(conv3x3(channels, channels, lite=lite) for _ in in_channels)
        coarser = range(len(in_channels), num_levels)
        self.extras = nn.ModuleList(conv3x3(channels, channels, lite=lite, stride=2) for _ in coarser)
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(num_levels))
        start_convs(self)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """features: [B, C_l, H / 2**l, W / 2**l] of each input level l. Returns [B, channels, ., .] of each level."""
        inner = [lateral(c) for lateral, c in zip(self.laterals, features, strict=True)]
        for finer in range(len(inner) - 2, -1, -1):
            inner[finer] = inner[finer] + interpolate(inner[finer + 1], scale_factor=2.0, mode="nearest")
        pyramid = [output(x) for output, x in zip(self.outputs, inner, strict=True)]
        for index, extra in enumerate(self.extras):
            pyramid.append(extra(relu(pyramid[-1]) if index else pyramid[-1]))
        return [norm(x) for norm, x in zip(self.norms, pyramid, strict=True)]  # no activation behind them
