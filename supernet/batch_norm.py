"""Batch-norm statistics of one path, where a supernet gathered them over all the paths through a block."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def batch_norms(model: nn.Module) -> list[_BatchNorm]:
    """Every batch norm of `model`, synchronised ones too."""
    return [module for module in model.modules() if isinstance(module, _BatchNorm)]


def reset_statistics(model: nn.Module) -> None:
    """Forget the running statistics: mean 0, variance 1, no batch seen."""
    for norm in batch_norms(model):
        norm.reset_running_stats()


def set_momentum(model: nn.Module, step: int) -> None:
    """Before step t = 1, 2, ... of a finetune after `reset_statistics`: momentum max(0.1, 1/t).

    The plain mean of the first ten batches, the usual moving average from then on.
    """
    for norm in batch_norms(model):
        norm.momentum = max(0.1, 1 / step)


@contextmanager
def fresh_statistics(model: nn.Module) -> Iterator[None]:
    """Inside, batches run through `model` in training mode replace its statistics by their plain mean.

    Only batch norms count as training: whatever else `model` does, it does as its own mode says.
    """
    norms = batch_norms(model)
    before = [(norm.momentum, norm.training) for norm in norms]
    reset_statistics(model)
    for norm in norms:
        norm.momentum = None  # torch's sign for the mean over all batches
        norm.train()
    try:
        yield
    finally:
        for norm, (momentum, training) in zip(norms, before, strict=True):
            norm.momentum = momentum
            norm.train(training)


def synchronised(model: nn.Module) -> nn.Module:
    """`model` with statistics over all GPUs in place of each process's own; CPU processes cannot."""
    converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
    return converted
