"""Running statistics of batch norms: after weights were taken from a supernet, they are of other paths.

Re-estimation before scoring: Guo et al., "Single Path One-Shot", arXiv 1904.00420, section 3.1.
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from msnas.engine.batch_source import BatchSource
from msnas.engine.devices import Hardware, to_device
from msnas.seeds import derive


def norms_of(model: nn.Module) -> list[_BatchNorm]:
    """Every batch norm of `model` that is not frozen."""
    return [module for module in model.modules() if isinstance(module, _BatchNorm) and not is_frozen(module)]


def is_frozen(norm: _BatchNorm) -> bool:
    """Whether its weights take no gradients: its statistics then belong to them and must not move."""
    return norm.affine and not norm.weight.requires_grad


def restart(norms: Sequence[_BatchNorm], step: int) -> None:
    """At training step 0, 1, ...: statistics of these steps alone: their mean, then a moving average."""
    for norm in norms:
        if step == 0:
            norm.reset_running_stats()
        norm.momentum = max(0.1, 1 / (step + 1))


def estimate(
    model: nn.Module, batches: BatchSource, steps: int, *, seed: int, replicate: int, hardware: Hardware
) -> None:
    """Replace running statistics by their plain mean over the batches of `steps`; weights stay as they are.

    A batch counts as one however large its maps are; with n images, a 1x1 map has n values a channel.
    """
    norms = norms_of(model)
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative average
    model.train()
    with torch.no_grad():
        for step in range(steps):
            torch.manual_seed(derive(seed, "statistics", replicate, step))
            images, targets = to_device(*batches.batch(step), hardware.device)
            with hardware.autocast():
                model(images, targets)
    for norm, momentum in zip(norms, before, strict=True):
        norm.momentum = momentum
