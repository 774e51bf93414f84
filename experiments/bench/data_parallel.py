"""Two processes that train one supernet together beside two that each do bare steps; run by `make bench`.

The same two processes do both in turn, by the clock on the wall: all that is between them is what training together
costs. A turn begins for both at the same time.
"""

import multiprocessing
import os
import socket
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from supernet_step import PATH, batch_of, ours, stepper
from timing import Row, Target
from torch import nn

from msnas.engine.distributed import Group, joined
from msnas.engine.loop import Training, train
from msnas.engine.schedule import Schedule
from supernet.strides.architecture import Architecture
from supernet.strides.stride_encoder import MixedEncoder

SIZE = 2


class OneBatch:
    """The same images at every step."""

    def __init__(self, images: int, size: int) -> None:
        self.images, self.targets = batch_of(images, size)

    def batch(self, step: int) -> tuple[list[torch.Tensor], list[dict[str, Any]]]:
        """The images and targets."""
        return self.images, [target | {"image_id": 0} for target in self.targets]


def rows(tiny: bool) -> list[Row]:
    """Images a second of both processes together, beside those of both alone."""
    steps, images, size, rounds = (1, 1, 64, 1) if tiny else (8, 8, 128, 8)
    context = multiprocessing.get_context("spawn")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    answers: Any = context.SimpleQueue()
    arguments = [(rank, port, steps, images, size, rounds, answers) for rank in range(SIZE)]
    processes = [context.Process(target=_rank, args=own) for own in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise RuntimeError("The two processes must train together; one ended with the error above.")
    seconds = answers.get()
    rates = {name: [SIZE * steps * images / spent for spent in values] for name, values in seconds.items()}
    sides = [(name, rates[name]) for name in ("together", "bare loops")]
    return [Row("two processes: one training / two bare loops", *sides, "images/s", Target(0.9, ">="))]


def _rank(rank: int, port: int, steps: int, images: int, size: int, rounds: int, answers: Any) -> None:
    place = {"RANK": rank, "WORLD_SIZE": SIZE, "LOCAL_RANK": rank, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in place.items()})
    torch.set_num_threads(1)
    torch.manual_seed(0)
    path = Architecture.parse(PATH)
    with joined(torch.device("cpu")) as group:
        made = [ours(MixedEncoder(block="basic", channels=32, depth=len(path.strides)), size) for _ in range(2)]
        data = OneBatch(images, size)
        bare = stepper(made[0], (data.images, data.targets), path)
        works = {
            "together": lambda: _together(made[1], data, group, steps, path),
            "bare loops": lambda: _bare(bare, steps),
        }
        seconds: dict[str, list[float]] = {name: [] for name in works}
        for turn in range(rounds + 1):
            for name, work in works.items():
                dist.barrier()
                spent = work()
                if turn:  # the first warms up
                    seconds[name].append(spent)
    if rank == 0:
        answers.put(seconds)


def _together(model: nn.Module, data: OneBatch, group: Group, steps: int, path: Architecture) -> float:
    """Seconds of `steps` steps of `train`, without what it does once before the first."""
    marks: list[float] = []

    def path_of_step(step: int) -> Architecture:
        marks.append(time.perf_counter())
        return path

    schedule = Schedule(steps=steps, batch=len(data.images) * SIZE, lr=1e-4)
    train(model, data, Training(schedule=schedule, seed=0, stage="bench", path_of_step=path_of_step, group=group))
    return time.perf_counter() - marks[0]


def _bare(step: Callable[[], Any], steps: int) -> float:
    began = time.perf_counter()
    for _ in range(steps):
        step()
    dist.barrier()  # two loops end when both have
    return time.perf_counter() - began
