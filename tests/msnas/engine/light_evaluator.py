"""Evaluators without torch, that worker processes start in a moment."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from evolution.strategy import Evaluation, Genome
from msnas.errors import DataError


def score_of(genome: Genome, replicate: int) -> float:
    return sum(gene / (3 + i) for i, gene in enumerate(genome)) + replicate / 7


def build() -> Callable[[Genome, int], Evaluation]:
    return evaluate


def evaluate(genome: Genome, replicate: int) -> Evaluation:
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
