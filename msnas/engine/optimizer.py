"""The optimizer of a training: SGD as the paper has it, or AdamW (Loshchilov & Hutter, arXiv 1711.05101)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from msnas.engine.schedule import Schedule


def make_optimizer(model: nn.Module, schedule: Schedule) -> torch.optim.Optimizer:
    """The optimizer of every parameter of `model` that has a gradient; what a step does not use stays as it is.

    model: may have `slow_parameters()`, those that learn at `schedule.slow` times the learning rate. Fused: measured
    on one core, SGD is 1.4 times (large tensors) to 5 times (small ones) as fast as without, AdamW 3 to 15 times.
    """
    groups = _groups(model, schedule)
    if schedule.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=schedule.lr, betas=schedule.betas, fused=True)
    sgd = torch.optim.SGD(groups, lr=schedule.lr, momentum=schedule.momentum, fused=True)
    if schedule.momentum:
        _start_momentum(sgd)
    return sgd


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Give every group of parameters its share of the learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["factor"]


def gradient_norm(parameters: Sequence[nn.Parameter]) -> Tensor:
    """The norm of the whole gradient, a scalar on its device."""
    return get_total_norm([p.grad for p in parameters if p.grad is not None])


def _groups(model: nn.Module, schedule: Schedule) -> list[dict[str, object]]:
    """Parameters by factor of the learning rate and weight decay, each in the order of the model."""
    slow = {id(parameter) for parameter in getattr(model, "slow_parameters", list)()}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            decays = schedule.decay_norms or parameter.ndim > 1  # norms and biases have one dimension
            key = (schedule.slow if id(parameter) in slow else 1.0, schedule.weight_decay if decays else 0.0)
            groups.setdefault(key, []).append(parameter)
    return [{"params": ps, "factor": factor, "weight_decay": decay} for (factor, decay), ps in groups.items()]


def _start_momentum(sgd: torch.optim.SGD) -> None:
    """Begin every momentum with 0, which gives the same first step.

    Fused SGD fails when some parameters have a momentum and others have none yet, as when a path is new.
    """
    for group in sgd.param_groups:
        for parameter in group["params"]:
            sgd.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
