"""Evaluators without torch, that worker processes start in a moment."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evolution.strategy import Evaluation, Genome
from msnas.errors import DataError


def score_of(genome: Genome, replicate: int, rung: int = 0) -> float:
    return sum(gene / (3 + i) for i, gene in enumerate(genome)) + replicate / 7


def build() -> Callable[[Genome, int], Evaluation]:
    return evaluate


def evaluate(genome: Genome, replicate: int, rung: int = 0) -> Evaluation:
    if genome[0] == 13:
        raise ValueError("thirteen")
    metrics = {"pid": os.getpid()}
    return Evaluation(genome=genome, replicate=replicate, score=(score_of(genome, replicate),), metrics=metrics)


def build_deadly(folder: Path, times: int) -> Callable[[Genome, int], Evaluation]:
    """Genome (7, ...) kills its worker as the system does when memory is out, the first `times` times."""

    def deadly(genome: Genome, replicate: int) -> Evaluation:
        if genome[0] == 7:
            number = len(list(folder.iterdir()))
            if number < times:
                (folder / str(number)).write_text(str(os.getpid()))
                os.kill(os.getpid(), signal.SIGKILL)
        return evaluate(genome, replicate)

    return deadly


def build_numbered() -> Callable[[Genome, int], Evaluation]:
    """The score is the number of the worker that made it."""
    time.sleep(0.1)  # so that the other worker gets a job as well
    number = float(os.environ["LOCAL_RANK"])
    return lambda genome, replicate: Evaluation(genome=genome, replicate=replicate, score=(number,))


def build_slow(folder: Path) -> Callable[[Genome, int], Evaluation]:
    """Says that it started, then takes a minute."""

    def slow(genome: Genome, replicate: int) -> Evaluation:
        (folder / str(os.getpid())).write_text("started")
        time.sleep(60)
        return evaluate(genome, replicate)

    return slow


def build_refused() -> Callable[[Genome, int], Evaluation]:
    raise DataError("The data is not sound.")


def build_dying() -> Callable[[Genome, int], Evaluation]:
    os.kill(os.getpid(), signal.SIGKILL)
    return evaluate


def build_from(weights: dict[str, Any]) -> Callable[[Genome, int], Evaluation]:
    """Scores by what all workers share."""

    def read(genome: Genome, replicate: int) -> Evaluation:
        score = float(weights["w"][genome[0]]) + int(weights["n"])
        in_store = "plasma" in _mapping(weights["w"].data_ptr())
        return Evaluation(genome=genome, replicate=replicate, score=(score,), metrics={"in_store": in_store})

    return read


def _mapping(address: int) -> str:
    """The line of this process's memory map that holds an address."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        low, high = (int(end, 16) for end in line.split()[0].split("-"))
        if low <= address < high:
            return line
    return ""


class Crowded:
    """As `evaluate`; more than `most` of them side by side do no more work than `most`."""

    def __init__(self, folder: Path, most: int) -> None:
        self.folder, self.most = folder, most

    def __call__(self, genome: Genome, replicate: int) -> Evaluation:
        return evaluate(genome, replicate)

    def steps_per_second(self, seconds: float) -> float:
        """What one of those that measure at this time gets done."""
        mark = self.folder / str(os.getpid())
        mark.touch()
        time.sleep(seconds)
        working = len(list(self.folder.iterdir()))
        time.sleep(seconds)
        mark.unlink()
        return min(1.0, self.most / working)


def build_crowded(folder: Path, most: int) -> Crowded:
    return Crowded(folder, most)
