"""The last norm of every residual branch: what it starts at, and networks without any branch, for a diagnosis.

A branch that starts at 0 leaves its block a shortcut (arXiv 1706.02677, section 5.1). Whether training ever switched
the branches on shows in what a network loses without them.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from timm.models.resnet import BasicBlock, Bottleneck
from torch import nn

from supernet.errors import SpaceError
from supernet.strides.blocks import ResidualBlock


def residual_norms(network: nn.Module) -> list[nn.BatchNorm2d]:
    """The last norm of each residual branch: of our blocks, or where there is none, of timm's ResNet blocks."""
    modules = list(network.modules())
    ours = [block.residual[-1] for block in modules if isinstance(block, ResidualBlock)]
    basic = [block.bn2 for block in modules if isinstance(block, BasicBlock)]
    return ours or basic + [block.bn3 for block in modules if isinstance(block, Bottleneck)]  # type: ignore[return-value]


def init_residuals(network: nn.Module, value: float) -> None:
    """Let the last norm of each residual branch start at `value`. Raises SpaceError for what is no scale."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 10:
        raise SpaceError(f"0 <= residual_init <= 10 must hold, but got {value!r}.")
    for norm in residual_norms(network):
        nn.init.constant_(norm.weight, value)


@contextmanager
def without_residuals(network: nn.Module) -> Iterator[None]:
    """Inside, every residual branch of `network` contributes 0, and a block is its shortcut.

    A frozen prefix keeps its branches. For evaluation: in training mode statistics would follow.
    """
    norms = residual_norms(network)
    kept = [(norm.weight.detach().clone(), norm.bias.detach().clone()) for norm in norms]
    with torch.no_grad():
        for norm in norms:
            norm.weight.zero_()
            norm.bias.zero_()
    try:
        yield
    finally:
        with torch.no_grad():
            for norm, (weight, bias) in zip(norms, kept, strict=True):
                norm.weight.copy_(weight)
                norm.bias.copy_(bias)
