"""How convolutions start: dense and depthwise ones keep the size of what runs through them, each by its own fan.

"Delving Deep into Rectifiers", arXiv 1502.01852, section 2.2. torch's `kaiming_normal_` counts the fan of a grouped
convolution as if every output were read from every input: a depthwise one then starts `channels` times too small.
"""

import math

from torch import nn


def start_convs(module: nn.Module) -> None:
    """Give every convolution of `module` zero biases and normal weights of variance gain / fan-out.

    The fan-out is that of a single group. The gain is 2, for the ReLU around a convolution, but 1 for a depthwise one,
    which a 1x1 follows with nothing between the two.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            fan_out = layer.out_channels // layer.groups * math.prod(layer.kernel_size)
            gain = 1 if is_depthwise(layer) else 2
            start_normal(layer, math.sqrt(gain / fan_out))


def start_normal(conv: nn.Conv2d, std: float) -> None:
    """Weights of N(0, std), a bias of zero."""
    nn.init.normal_(conv.weight, std=std)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)


def is_depthwise(conv: nn.Conv2d) -> bool:
    """Whether every channel is convolved apart."""
    return conv.groups > 1 and conv.groups == conv.in_channels == conv.out_channels
