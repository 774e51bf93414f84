"""Multiply-accumulates counted on a built module, on the meta device: exact, without memory, in milliseconds.

torch's own counter knows no deformable convolution and counts it as zero; here its formula is registered.
"""

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any

import torch
import torchvision.ops  # noqa: F401  (registers torch.ops.torchvision.deform_conv2d)
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


def count_macs(module: nn.Module, *inputs: Any) -> int:
    """Multiply-accumulates of every convolution and matrix product of `module(*inputs)`.

    Bias, norm, activation, pooling, interpolation and additions are not counted. Module and inputs usually live on the
    meta device (`torch.device("meta")`), where nothing is computed.
    """
    counter = FlopCounterMode(display=False, custom_mapping={torch.ops.torchvision.deform_conv2d: _deform_flops})
    with torch.no_grad(), counter:
        module(*inputs)
    flops = counter.get_total_flops()
    assert flops % 2 == 0, "one multiply-accumulate is two FLOPs for torch"
    return flops // 2


def _deform_flops(
    input_shape: Sequence[int], weight_shape: Sequence[int], *_: Any, out_shape: Sequence[int], **__: Any
) -> int:
    """FLOPs of one deformable convolution: those of the plain one (its sampling is interpolation)."""
    pixels = out_shape[0] * out_shape[2] * out_shape[3]
    return 2 * pixels * prod(weight_shape)  # [out, in of a group, height, width]


def count_elementwise(module: nn.Module, *inputs: Any, parts: Iterable[nn.Module]) -> int:
    """What some published tables add to the convolutions' count, as operations inside `parts` of `module`.

    One per element of a convolution's output for its bias, two per element of a batch norm, one per element of a ReLU
    module. Group norm counts nothing.
    """
    total = 0

    def add(layer: nn.Module, _: Any, output: Tensor) -> None:
        nonlocal total
        total += _per_element(layer) * output.numel()

    counted = [layer for part in parts for layer in part.modules() if _per_element(layer)]
    hooks = [layer.register_forward_hook(add) for layer in counted]
    try:
        with torch.no_grad():
            module(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return total


def _per_element(layer: nn.Module) -> int:
    if isinstance(layer, nn.BatchNorm2d):
        return 2
    if isinstance(layer, nn.ReLU | nn.ReLU6):
        return 1
    weight = getattr(layer, "weight", None)
    is_conv = isinstance(weight, Tensor) and weight.dim() == 4
    return int(is_conv and getattr(layer, "bias", None) is not None)


def count_params(module: nn.Module, trainable: bool = False) -> int:
    """Numbers that `module` holds as parameters; `trainable` leaves out those that no gradient reaches."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not trainable)
