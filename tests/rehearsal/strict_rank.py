"""One of the processes of test_ranks_on_cuda.py: trains on a pretended GPU, with collectives as strict as nccl's.

Usage: strict_rank.py FOLDER, with torchrun's environment variables.
"""

import json
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import torch.distributed as dist
from pretended_cuda import CUDA, place_of, pretended_cuda
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from msnas.engine import distributed
from msnas.engine.devices import Hardware
from msnas.engine.distributed import Group, joined
from msnas.engine.loop import Training, train
from msnas.engine.schedule import Schedule
from msnas.engine.training_files import TrainingFiles

COLLECTIVES = ("all_reduce", "all_gather", "broadcast")
OBJECTS = ("all_gather_object", "gather_object")  # nccl takes these, since torch makes tensors of the GPU of them


class Tiny(nn.Module):
    """A layer whose weights are not contiguous, a norm, and a branch that rank 0 alone uses."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
        self.norm, self.branch = nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1)

    def forward(self, images: list[Tensor], targets: Any, path: Any) -> dict[str, Tensor]:
        x = self.norm(self.layer(torch.stack(images)))
        return {"loss": (self.branch(x) if targets[0]["image_id"] == 0 else x).square().mean()}


class Noise:
    """An image a step for each rank."""

    def __init__(self, rank: int) -> None:
        self.rank = rank

    def batch(self, step: int) -> tuple[list[Tensor], list[dict[str, Any]]]:
        generator = torch.Generator().manual_seed(2 * step + self.rank)
        return [torch.rand(3, 8, 8, generator=generator)], [{"image_id": self.rank}]


def strict(name: str, collective: Callable[..., Any], called: list[str]) -> Callable[..., Any]:
    """`collective`, which takes contiguous tensors of the GPU only; each call is noted in `called`."""

    def call(*arguments: Any, **options: Any) -> Any:
        called.append(name)
        for tensor in tree_leaves(arguments):
            if isinstance(tensor, Tensor):
                assert place_of(tensor) == CUDA, f"{name} of a tensor of the CPU"
                assert tensor.is_contiguous(), f"{name} of a tensor that is not contiguous"
        return collective(*arguments, **options)

    return call


def without_gpus(value: Any) -> None:
    """Raise where an object that is sent holds a tensor of the GPU: each process would open another's card for it."""
    for leaf in tree_leaves(value):
        assert not isinstance(leaf, Tensor) or place_of(leaf) != CUDA, "a tensor of the GPU inside an object"


def strict_objects(name: str, collective: Callable[..., Any], called: list[str]) -> Callable[..., Any]:
    """`collective`, which takes no tensors of the GPU inside its objects; each call is noted in `called`."""

    def call(*arguments: Any, **options: Any) -> Any:
        called.append(name)
        without_gpus(arguments)
        return collective(*arguments, **options)

    return call


def main() -> None:
    folder, gpu = Path(sys.argv[1]), torch.device("cuda", 0)
    called: list[str] = []
    before: list[int] = []  # calls before the first step is looked at, and before each
    with joined(torch.device("cpu"), timeout=60) as gloo, ExitStack() as stack:
        group, model = Group(rank=gloo.rank, size=gloo.size, device=gpu), Tiny()
        for name in COLLECTIVES:
            stack.enter_context(mock.patch.object(dist, name, strict(name, getattr(dist, name), called)))
        for name in OBJECTS:
            stack.enter_context(mock.patch.object(dist, name, strict_objects(name, getattr(dist, name), called)))
        stack.enter_context(mock.patch.object(distributed, "synchronised", lambda model: model))  # CUDA's kernels
        stack.enter_context(pretended_cuda())
        schedule = Schedule(steps=3, batch=2, lr=0.1, clip=1.0)
        hardware = Hardware(device=gpu, threads=1)
        training = Training(
            schedule=schedule,
            seed=0,
            stage="strict",
            path_of_step=lambda step: before.append(len(called)),
            hardware=hardware,
            group=group,
        )
        train(model, Noise(group.rank), training, files=TrainingFiles(folder=folder, every=2))
        before.append(len(called))
        judged = group.of_first(lambda: "judged"), group.gather_on_first(group.rank)
        asked = called[before.pop() :]
        state = {name: value.double().sum().item() for name, value in model.state_dict().items()}
    seen = {"state": state, "first step": called[before[1] : before[2]], "judged": judged, "asked": asked}
    (folder / f"rank{group.rank}.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    main()
