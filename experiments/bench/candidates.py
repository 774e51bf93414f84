"""What a candidate costs beside its own work, and what several workers gain.

    python experiments/bench/candidates.py [--candidates 16] [--json]

parts: CPU time of candidates at `scale=tiny` by part, one after another in this process; `rest` is neither step nor
image nor AP. pool: wall time of the candidates with one and with two workers; bare: in one and two processes that
call the evaluator and nothing else; all started and warm beforehand. instant: evaluations a second that cost nothing.
"""

import argparse
import json
import multiprocessing
import tempfile
import time
from contextlib import ExitStack
from functools import cache, partial
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import torch
from supernet_step import ours
from timing import Row, Target, medians

from evolution.driver import Job
from evolution.strategy import Evaluation, Genome
from msnas.data.batches import Batches
from msnas.data.opening import open_data
from msnas.data.settings import DataSettings
from msnas.engine import detector_scoring, loop, scoring
from msnas.engine import evaluation as evaluate
from msnas.engine.detector_scoring import CandidateEvaluator
from msnas.engine.devices import Hardware
from msnas.engine.recipe import Recipe
from msnas.engine.workers import evaluating
from supernet.strides.stride_encoder import MixedEncoder
from supernet.strides.stride_space import StrideSpace

SHAPE: dict[str, Any] = {"block": "basic", "depth": 13, "channels": 32, "base_stride": 4}
INSTANT, ONE_THREAD = 10_000, Hardware(threads=1)


@cache
def space() -> StrideSpace:
    """The space of `scale=tiny`."""
    return StrideSpace(**SHAPE, input_size=(128, 128))


def genomes(number: int) -> list[Genome]:
    """Drawn uniformly, always the same."""
    return [space().sample(np.random.default_rng(seed)) for seed in range(number)]


def evaluator(folder: str, hardware: Hardware = ONE_THREAD) -> CandidateEvaluator:
    """Candidates on drawn shapes of 128 pixels: 10 steps of 8 images, 50 images to score; an untrained supernet."""
    torch.set_num_threads(1)
    drawing = {"name": "shapes", "root": folder, "size": 128, "train": 300, "val": 50, "workers": 1}
    data = open_data(DataSettings.from_mapping({**drawing, "short_side": 128, "long_side": 213}))
    torch.manual_seed(0)
    model = ours(MixedEncoder(**SHAPE), 128, classes=len(data.train.classes), long_side=213)
    return CandidateEvaluator(
        model,
        lambda size, seed: Batches(data.supernet_train, size, seed=seed),
        data.search_val,
        space=space(),
        recipe=Recipe(iterations=10, batch=8, lr=0.04),
        seed=0,
        hardware=hardware,
    )


def instant() -> Any:
    """An evaluator that does nothing."""
    return partial(_instant)


def _instant(genome: Genome, replicate: int) -> Evaluation:
    return Evaluation(genome=genome, replicate=replicate, score=(0.0,))


def parts(folder: str, number: int) -> dict[str, list[float]]:
    """CPU milliseconds of each candidate by part: a busy machine disturbs them less than the wall's."""
    cpu_clock, found = SimpleNamespace(perf_counter=time.process_time), []
    with ExitStack() as stack:
        for module in (detector_scoring, loop, evaluate, scoring):
            stack.enter_context(mock.patch.object(module, "time", cpu_clock))
        scorer = evaluator(folder)
        scorer(genomes(1)[0])
        for genome in genomes(number):
            evaluation = scorer(genome)
            found.append({**scorer.times, "whole": evaluation.seconds})
    return {part: [1000 * row[part] for row in found] for part in found[0]}


def rows(tiny: bool) -> list[Row]:
    """What a whole candidate takes beside its steps, its images and its AP."""
    with tempfile.TemporaryDirectory() as folder:
        spent = parts(folder, 1 if tiny else 16)
    works = [spent[part] for part in ("finetune", "statistics", "detect", "score")]
    own = [sum(work) for work in zip(*works, strict=True)]
    limit = Target(50, of="difference")
    return [Row("a candidate / its own work", ("whole", spent["whole"]), ("own work", own), "CPU ms", limit)]


def pool_seconds(folder: str, workers: int, number: int, hardware: Hardware = ONE_THREAD) -> float:
    """Wall time of `number` candidates in so many warm workers."""
    with evaluating(partial(evaluator, folder, hardware), workers=workers) as evaluate_many:
        list(evaluate_many(Job(genome, 0) for genome in genomes(workers)))
        began = time.perf_counter()
        list(evaluate_many(Job(genome, 0) for genome in genomes(number)))
        return time.perf_counter() - began


def bare_seconds(folder: str, loops: int, number: int) -> float:
    """Wall time of `number` candidates in so many independent processes that are warm and start together."""
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(loops + 1)
    arguments = [(folder, index, loops, number, ready) for index in range(loops)]
    running = [context.Process(target=_bare_loop, args=own) for own in arguments]
    for process in running:
        process.start()
    ready.wait()
    began = time.perf_counter()
    for process in running:
        process.join()
    return time.perf_counter() - began


def _bare_loop(folder: str, index: int, loops: int, number: int, ready: Any) -> None:
    scorer = evaluator(folder)
    scorer(genomes(1)[0])
    ready.wait()
    for genome in genomes(number)[index::loops]:
        scorer(genome)


def instant_rate(workers: int) -> float:
    """Evaluations a second that cost nothing."""
    with evaluating(instant, workers=workers) as evaluate_many:
        list(evaluate_many([Job((0,), 0)] * workers))
        began = time.perf_counter()
        list(evaluate_many(Job((number,), 0) for number in range(INSTANT)))
        return INSTANT / (time.perf_counter() - began)


def main() -> None:
    """Measure all three and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=16)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        evaluator(folder)  # draws the images once
        result: dict[str, Any] = {"parts_ms": medians(parts(folder, options.candidates))}
        for name, measure in (("pool", pool_seconds), ("bare", bare_seconds)):
            one, two = (measure(folder, number, options.candidates) for number in (1, 2))
            result[name] = {"one_s": one, "two_s": two, "speed_up": one / two}
    result["instant_per_s"] = {str(workers): instant_rate(workers) for workers in (1, 2, 4)}
    print(json.dumps(result, indent=None if options.json else 1))


if __name__ == "__main__":
    main()
