"""Backbones as FCOS and NAS-FCOS use them: ResNets of the caffe form, norms and first layers that can be frozen.

The caffe form strides in a bottleneck's first 1x1, timm's (v1.5) in its 3x3; weights fit both, costs differ by 2 %.
ResNeXt and MobileNetV2 are timm's as they are.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from supernet.backbone import Backbone
from supernet.cost import Cost
from supernet.mac_counter import count_macs, count_params


class CaffeBackbone(Backbone):
    """A timm network read at C2..C5 (or C3..C5).

    caffe: move the stride of plain bottlenecks into their first 1x1. frozen: batch norms keep their statistics and
    weights, and a ResNet's stem and first stage are not trained; for backbones with pretrained weights. width, weights,
    called: see `Backbone`.
    """

    def __init__(
        self,
        name: str,
        levels: Sequence[int] = (3, 4, 5),
        *,
        caffe: bool = True,
        frozen: bool = False,
        width: float = 1.0,
        weights: str | None = None,
        called: str = "backbone.weights",
    ) -> None:
        super().__init__(name, levels, width=width, weights=weights, called=called)
        self.frozen = frozen
        if caffe:
            moved = [_stride_in_first_conv(module) for module in self.body.modules()]
            if weights is not None and any(moved):
                warnings.warn(
                    f"caffe=true moves the strides of {name}, and its weights must have been trained so: "
                    f"timm's are not; with those of {weights} give caffe=false.",
                    stacklevel=2,
                )
        if frozen:
            self._freeze()

    def train(self, mode: bool = True) -> "CaffeBackbone":
        """Training mode for all but frozen norms."""
        super().train(mode)
        if self.frozen:
            for norm in self.norms():
                norm.eval()
        return self

    def norms(self) -> list[nn.Module]:
        """The backbone's batch norms."""
        return [module for module in self.body.modules() if isinstance(module, _BatchNorm)]

    def _freeze(self) -> None:
        still = [*self.norms(), *(m for name, m in self.body.named_children() if name in ("conv1", "layer1"))]
        for module in still:
            module.requires_grad_(False)


def _stride_in_first_conv(module: nn.Module) -> bool:
    """Move a plain bottleneck's stride from its 3x3 to its first 1x1; whether it was moved."""
    is_bottleneck = all(hasattr(module, name) for name in ("conv1", "conv2", "conv3"))
    if not is_bottleneck:
        return False
    first, second = module.conv1, module.conv2
    assert isinstance(first, nn.Conv2d)
    assert isinstance(second, nn.Conv2d)
    plain = second.groups == 1 and first.kernel_size == (1, 1)  # ResNeXt strides in its 3x3, so the published X-101
    moved = plain and first.stride != second.stride
    if plain:
        first.stride, second.stride = second.stride, first.stride
    return moved


@dataclass(frozen=True)
class BackboneCost:
    """What a backbone costs, and what the pyramid above needs to know of it."""

    cost: Cost
    trainable_params: int  # those left when it is frozen
    channels: tuple[int, ...]


@lru_cache
def caffe_backbone_cost(
    name: str, levels: tuple[int, ...], input_size: tuple[int, int], width: float = 1.0
) -> BackboneCost:
    """Counted at `input_size` (height, width) on the meta device; `width` as `CaffeBackbone` has it."""
    with torch.device("meta"):
        backbone = CaffeBackbone(name, levels, frozen=True, width=width).eval()
        macs = count_macs(backbone, torch.empty(1, 3, *input_size))
    trainable = count_params(backbone, trainable=True)
    return BackboneCost(Cost(macs, count_params(backbone)), trainable, tuple(backbone.channels))
