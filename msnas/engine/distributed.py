"""Several processes that train one network, started by `torchrun`: over GPUs (nccl) or CPU processes (gloo).

Each step every process follows the same path on its own slice of the batch, and only the gradients of that
path travel, as one flat buffer. DDP would walk all the branches of a supernet (`find_unused_parameters`), or
refuse to leave some of them unused.
"""

import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NoReturn, TypeVar, cast

import torch
import torch.distributed as dist
from timm.layers.norm_act import convert_sync_batchnorm
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from msnas.endings import ending
from msnas.engine.batch_norm import is_frozen
from msnas.engine.interrupt import Interrupted
from msnas.seeds import derive

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Group:
    """This process's place among those that train together; alone by default, where nothing is exchanged."""

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def writes(self) -> bool:
        """Whether this is the one process that writes files and shows progress."""
        return self.rank == 0

    def agree(self, step: int, path: object, flags: Sequence[bool]) -> list[bool]:
        """Which of `flags` are set on any process.

        Asserts that all processes are at the same step with the same `path`, compared by its text.
        """
        if self.size == 1:
            return list(flags)
        own = torch.tensor([step, derive(str(path)), *flags], device=self.device)
        told = [torch.empty_like(own) for _ in range(self.size)]
        dist.all_gather(told, own)
        least, most = torch.stack(torch.stack(told).aminmax(dim=0)).tolist()
        same = least[:2] == most[:2]
        assert same, f"All processes must follow one path, but rank {self.rank} has {path} at step {step}."
        return [flag > 0 for flag in most[2:]]

    def gather(self, value: T) -> list[T]:
        """The `value` of every process, in the order of ranks, on every process; any picklable thing."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def gather_on_first(self, value: T) -> list[T]:
        """The `value` of every process, in the order of ranks, on the first process; [] on the others."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size if self.writes else []
        dist.gather_object(value, values if self.writes else None)
        return values

    def of_first(self, decide: Callable[[], T]) -> T:
        """What the first process decides, on every process: a file that is read anew may not be the same to all."""
        return cast(T, self.gather(decide() if self.writes else None)[0])

    def exchange_gradients(self, parameters: Sequence[nn.Parameter], used: Sequence[bool], values: Tensor) -> Tensor:
        """Replace gradients by their mean over the processes; returns that of `values` [N], which travel with them.

        used: the parameters that have a gradient on any process. The others keep `grad is None`, so that the optimizer
        leaves their weight and momentum alone; a process without a gradient that others have counts as one of 0.
        """
        if self.size == 1:
            return values
        gradients = [_gradient(parameter) for parameter, flag in zip(parameters, used, strict=True) if flag]
        flat = torch.cat([*(gradient.reshape(-1) for gradient in gradients), values])
        dist.all_reduce(flat)
        flat /= self.size
        *pieces, means = flat.split_with_sizes([*(gradient.numel() for gradient in gradients), len(values)])
        for gradient, piece in zip(gradients, pieces, strict=True):
            gradient.copy_(piece.view(gradient.shape))
        return means

    def average_statistics(self, model: nn.Module) -> None:
        """Replace the running statistics of batch norms by their mean over the processes.

        Computed as rank 0's plus the mean difference from it: what is equal everywhere (branches that no
        path visited) stays as it is, bit for bit.
        """
        norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
        statistics = [s for norm in norms for s in (norm.running_mean, norm.running_var) if s is not None]
        if self.size == 1 or not statistics:
            return
        own = torch.cat(statistics)
        first = own.clone()
        dist.broadcast(first, src=0)
        difference = own - first
        dist.all_reduce(difference)
        pieces = (first + difference / self.size).split_with_sizes([s.numel() for s in statistics])
        for statistic, piece in zip(statistics, pieces, strict=True):
            statistic.copy_(piece)

    def prepare(self, model: nn.Module) -> nn.Module:
        """`model` with rank 0's weights everywhere; on GPUs its batch norms look over all processes.

        Synchronised batch norm does not exist on CPUs: there each process normalises its own share, and
        `average_statistics` joins what they saw.
        """
        if self.size == 1:
            return model
        for tensor in (*model.parameters(), *model.buffers()):
            first = tensor.detach().contiguous()
            dist.broadcast(first, src=0)
            tensor.detach().copy_(first)
        if self.device.type == "cuda":
            return synchronised(model)
        return model


ALONE = Group()


def local_rank() -> int:
    """Which process of this machine this is: of torchrun, or a worker; `devices.choose` gives it a GPU by it."""
    return int(os.environ.get("LOCAL_RANK", "0"))


@contextmanager
def joined(device: torch.device, *, timeout: float = 1800.0) -> Iterator[Group]:
    """The group that `torchrun` started this process in, or a group of one.

    timeout: seconds after which a process that waits for one that is gone gives up. A process that fails ends at once,
    with its error printed, upon which torchrun ends all others.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Group(device=device)
        return
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=timedelta(seconds=timeout))
    try:
        yield Group(rank=dist.get_rank(), size=size, device=device)
    except Interrupted:  # all processes stopped after the same step
        dist.destroy_process_group()
        raise
    except BaseException as error:
        _leave(error)
    dist.destroy_process_group()


def _leave(error: BaseException) -> NoReturn:
    """End at once as the command line would: to leave the group would be to wait for those that wait for this process.

    A fault of ours is printed whole, and ends with 1 as Python does.
    """
    told = ending(error)
    if told is None:
        traceback.print_exception(error)
    line, code = ("", 1) if told is None else (f"{told[0]}\n", told[1])
    sys.stderr.write(line)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def synchronised(model: nn.Module) -> nn.Module:
    """`model` with batch norms that look over all processes; those that are frozen stay as they are.

    timm's conversion keeps the activation of its norms, which torch's own drops.
    """
    replaced: dict[nn.Module, nn.Module] = {}
    for name, norm in list(model.named_modules(remove_duplicate=False)):
        if isinstance(norm, _BatchNorm) and not is_frozen(norm):
            if norm not in replaced:
                replaced[norm] = convert_sync_batchnorm(norm)  # type: ignore[no-untyped-call]
            if not name:
                return replaced[norm]
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, replaced[norm])
    return model


def _gradient(parameter: nn.Parameter) -> Tensor:
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


def quiet_unless_writing(group: Group) -> None:
    """Only the process that writes says what goes on; warnings come from all."""
    if not group.writes:
        logging.getLogger("msnas").setLevel(logging.WARNING)
