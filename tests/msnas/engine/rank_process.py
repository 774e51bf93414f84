"""One of the processes of test_data_parallel.py: does every experiment in turn, then writes what it saw.

Usage: rank_process.py FOLDER, with torchrun's environment variables.
"""

import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from engine_fakes import TinyBatches, TinySupernet, random_path, schedule, state_bits
from torch import nn

from msnas.engine.distributed import Group, joined
from msnas.engine.loop import Training, train
from msnas.engine.training_files import TrainingFiles

SIZE = 2


class Linear(nn.Module):
    """No norm and no noise: two processes must train it as one does."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(192, 2)

    def forward(self, images: Any, targets: Any, path: Any) -> Any:
        wanted = torch.tensor([target["label"] for target in targets])
        out = self.layer(torch.stack(images).flatten(1))
        return {"loss": nn.functional.cross_entropy(out, wanted)}


class Seen(TinySupernet):
    """Notes the ids of the images of each forward pass."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.ids: list[list[int]] = []

    def forward(self, images: Any, targets: Any = None, path: Any = None) -> Any:
        self.ids.append([target["image_id"] for target in targets])
        return super().forward(images, targets, path)


def hexed(model: nn.Module) -> dict[str, str]:
    return {name: bits.hex() for name, bits in state_bits(model).items()}


def share_of(group: Group) -> TinyBatches:
    return TinyBatches(rank=group.rank, size=SIZE)


def training_of(group: Group, **changes: Any) -> Training:
    options: dict[str, Any] = {"schedule": schedule(), "seed": 1, "stage": "test", "path_of_step": random_path}
    return Training(**{**options, **changes}, group=group)


def raised(action: Callable[[], Any]) -> str:
    try:
        action()
    except BaseException as error:  # Interrupted is a KeyboardInterrupt
        return f"{type(error).__name__}: {error}"
    return "nothing"


def fifty_steps(group: Group, folder: Path) -> dict[str, Any]:
    model = Seen(seed=group.rank)  # rank 0's weights are to win
    training = training_of(group, schedule=schedule(steps=50))
    train(model, share_of(group), training, files=TrainingFiles(folder=folder, every=20))
    return {"state": hexed(model), "ids": model.ids}


def killed_and_resumed(group: Group, folder: Path) -> dict[str, Any]:
    def die(line: Mapping[str, Any]) -> None:
        if line["step"] == 19:
            os.kill(os.getpid(), signal.SIGTERM)

    training, files = training_of(group, schedule=schedule(steps=50)), TrainingFiles(folder=folder, every=20)
    stopped = raised(lambda: train(TinySupernet(), share_of(group), training, files=files, report=die))
    model = TinySupernet(seed=5)
    train(model, share_of(group), training, files=files)
    return {"stopped": stopped, "state": hexed(model)}


def linear(group: Group) -> list[float]:
    model = Linear()
    train(model, share_of(group), training_of(group, schedule=schedule(steps=20), path_of_step=None))
    return [float(value) for value in model.layer.weight.detach().flatten()]


def other_path(group: Group) -> str:
    def path_of_step(step: int) -> tuple[int, ...]:
        return (0, 0, group.rank if step == 3 else 0)

    return raised(lambda: train(TinySupernet(), share_of(group), training_of(group, path_of_step=path_of_step)))


def poisoned(group: Group) -> str:
    batches = TinyBatches(poison=2, rank=group.rank, size=SIZE)
    return raised(lambda: train(TinySupernet(), batches, training_of(group)))


def whole_batch(group: Group) -> str:
    return raised(lambda: train(Linear(), TinyBatches(), training_of(group, path_of_step=None)))


def gradients(group: Group) -> list[Any]:
    """A gradient on both, on rank 1 alone, on none, one of them not contiguous; and values."""
    both, one, none = (nn.Parameter(torch.zeros(2, 3)) for _ in range(3))
    both.grad = torch.full((3, 2), 1.0 + group.rank).T
    one.grad = torch.full((2, 3), 4.0) if group.rank else None
    used = group.agree(0, None, [p.grad is not None for p in (both, one, none)])
    values = group.exchange_gradients([both, one, none], used, torch.tensor([1.0 + 2 * group.rank, 5.0]))
    return [None if p.grad is None else p.grad.tolist() for p in (both, one, none)] + [values.tolist()]


def main() -> None:
    folder = Path(sys.argv[1])
    torch.set_num_threads(1)
    with joined(torch.device("cpu"), timeout=60) as group:
        (folder / "run").mkdir(exist_ok=True)
        (folder / "resumed").mkdir(exist_ok=True)
        seen = {
            "fifty": fifty_steps(group, folder / "run"),
            "resumed": killed_and_resumed(group, folder / "resumed"),
            "linear": linear(group),
            "other_path": other_path(group),
            "poisoned": poisoned(group),
            "gradients": gradients(group),
            "whole_batch": whole_batch(group),
            "gathered": group.gather_on_first(f"rank {group.rank}"),
            "decided": group.of_first(lambda: f"rank {group.rank}"),
        }
    (folder / f"rank{group.rank}.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    main()
