"""What the stages that lie ahead will take: time, memory and disk, from a few steps measured on this machine.

Nothing is written: no run is made, and the features of the few images that are measured on lie in a folder that goes.
"""

import math
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from msnas.data.batches import batches_of
from msnas.data.opening import Splits
from msnas.engine.detector_scoring import CandidateEvaluator
from msnas.engine.devices import Hardware
from msnas.engine.evaluation import evaluate
from msnas.engine.loop import Training, train
from msnas.families.candidate_family import CandidateFamily
from msnas.families.family import SearchTrial
from msnas.families.initial_weights import fpn_baseline, network, pretraining_network
from msnas.pipeline.retraining import baselines, named
from msnas.pipeline.supernet_training import paths
from msnas.seeds import derive
from msnas.setup.options import BOTH, SCRATCH, SUPERNET
from msnas.setup.setup import Setup

WARM, STEPS = 2, 12  # steps that are left out, and that are measured
IMAGES = 40  # that are trained on, and scored; few, since each is also measured through a frozen backbone
CANDIDATES = 2


@dataclass(frozen=True)
class Forecast:
    """One stage. work: in words; memory, disk: bytes."""

    stage: str
    work: str
    seconds: float
    memory: int
    disk: int


@dataclass(frozen=True)
class _Measured:
    """Seconds and bytes that the stages are made of; those of steps and images are of one each.

    starting: of a process beside this one. own_feature, own_feature_bytes: of retraining, where it reads images
    otherwise than the stages before.
    """

    opening: float
    feature: float
    feature_bytes: int
    supernet_step: float
    supernet_bytes: int
    search: SearchTrial
    network_step: float
    baseline_step: float
    network_image: float
    network_bytes: int
    memory: int
    starting: float = 0.0
    own_feature: float = 0.0
    own_feature_bytes: int = 0


def forecast(setup: Setup, *, stages: Sequence[str], weights: Path | None = None) -> list[Forecast]:
    """What each of `stages` (of "train", "search", "retrain") will take on this machine, in their order.

    weights: the trained supernet's, where there is one: candidates are then measured with it. Raises what the stages
    raise before they begin.
    """
    if "search" in stages:
        setup.family.check_search(setup.search(weights=weights or Path(), folder=Path()))
    began = time.perf_counter()
    splits = setup.splits()
    opening = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as folder:
        measured = _measure(setup, splits, opening, Path(folder), weights)
    made = {"train": _train, "search": _search, "retrain": _retrain}
    setups = {"retrain": setup.for_retraining}
    return [made[stage](setups.get(stage, setup), splits, measured) for stage in stages]


def _measure(setup: Setup, splits: Splits, opening: float, folder: Path, weights: Path | None) -> _Measured:
    hardware, family, classes = setup.hardware.for_training(), setup.family, splits.train.classes
    few, feature, feature_bytes = few_prepared(setup, splits, hardware, folder)

    supernet_step, supernet_bytes = 0.0, 0
    if family.pretraining is not None:
        supernet = pretraining_network(family, classes, seed=setup.seed)
        supernet_step = step_seconds(setup, supernet, few, hardware, supernet=family.pretraining == "supernet")
        supernet_bytes = bytes_left(setup, supernet)
        del supernet
    hardware = setup.hardware.for_networks()
    retraining, own, own_feature, own_feature_bytes = setup.for_retraining, few, 0.0, 0
    if retraining.data != setup.data:
        own, own_feature, own_feature_bytes = few_prepared(retraining, retraining.splits(), hardware, folder / "own")
    alone = network(retraining.family, _network_ahead(setup), classes, seed=setup.seed)
    network_step = step_seconds(retraining, alone, own, hardware)
    baseline_step = step_seconds(retraining, fpn_baseline(retraining.family, classes, seed=setup.seed), own, hardware)
    evaluated = evaluate(alone, own.search_val, hardware=hardware)
    return _Measured(
        opening=opening,
        feature=feature,
        feature_bytes=feature_bytes,
        supernet_step=supernet_step,
        supernet_bytes=supernet_bytes,
        search=_trial(setup, splits, few, folder / "trial", weights),
        network_step=network_step,
        baseline_step=baseline_step,
        network_image=(evaluated.seconds + evaluated.score_seconds) / len(own.search_val),
        network_bytes=bytes_left(retraining, alone),
        memory=peak_memory(hardware),
        starting=_starting(setup),
        own_feature=own_feature,
        own_feature_bytes=own_feature_bytes,
    )


def few_prepared(setup: Setup, splits: Splits, hardware: Hardware, folder: Path) -> tuple[Splits, float, int]:
    """A few images as networks read them; seconds and bytes of a view's features in `folder`, 0 without any."""
    few = _few(splits)
    began = time.perf_counter()
    few = setup.family.prepared(few, setup.data, hardware, folder=folder)
    views = setup.family.cached_views * len(few.train)  # those that are scored are among them
    seconds = (time.perf_counter() - began) / views
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) // views
    return few, seconds if size else 0.0, size


def views_cached(setup: Setup, splits: Splits) -> int:
    """How many views of images go through a frozen backbone."""
    return setup.family.cached_views * len(splits.train) + len(splits.val)


def _starting(setup: Setup) -> float:
    """Seconds until a process beside this one has its modules; 0 where none is started."""
    if not setup.hardware.workers:
        return 0.0
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import msnas.pipeline.standalone_training"], check=True)
    return time.perf_counter() - began


def _few(splits: Splits) -> Splits:
    """The first images of the data, as its splits."""
    train = splits.train.subset(range(min(IMAGES, len(splits.train))))
    scored = train.subset([i for i, image in enumerate(train.images) if image.has_boxes] or [0])
    return replace(splits, train=train, supernet_train=train, search_val=scored, val=scored, selection_val=None)


def step_seconds(setup: Setup, model: nn.Module, few: Splits, hardware: Hardware, *, supernet: bool = False) -> float:
    """The mean seconds of a training step; a supernet's steps are of different paths, as in its training.

    Where several GPUs may share a batch, one takes its share at a time, since the whole may not fit into its memory.
    """
    schedule = setup.schedule.over(len(few.train), steps=WARM + STEPS)
    gpus = setup.hardware.gpus()
    shares = gpus if gpus and schedule.batch % gpus == 0 else 1
    schedule = replace(schedule, batch=schedule.batch // shares)
    batches = batches_of(setup.data, few.train, batch=schedule.batch, seed=setup.seed)
    training = Training(
        schedule=schedule,
        seed=setup.seed,
        stage="estimate",
        path_of_step=paths(setup) if supernet else None,
        hardware=hardware,
    )
    seconds: list[float] = []
    train(model, batches, training, report=lambda line: seconds.append(line["seconds"]))
    return shares * statistics.fmean(seconds[WARM:])


def _trial(setup: Setup, splits: Splits, few: Splits, folder: Path, weights: Path | None) -> SearchTrial:
    """What a few candidates say of the search."""
    family, hardware = setup.family, setup.hardware.for_candidates()
    if isinstance(family, CandidateFamily):  # whose candidates are whole detectors
        seconds = _candidate(setup, family, splits, few, weights)
        return SearchTrial(before=0.0, each=seconds, memory=0, disk=0)
    told = family.trial_of_search(setup.bounded_space, splits, few, seed=setup.seed, hardware=hardware, folder=folder)
    assert told is not None, "a family whose candidates are no whole detectors says what a search takes"
    return told


def _candidate(setup: Setup, family: CandidateFamily, splits: Splits, few: Splits, weights: Path | None) -> float:
    """The seconds of one evaluation of the search."""
    whole = family.recipe
    short = replace(
        whole,
        iterations=min(WARM + STEPS, whole.iterations),
        bn_images=min(2, whole.bn_images // whole.bn_batch) * whole.bn_batch,
    )
    evaluator = CandidateEvaluator(
        family.candidates(weights, splits.train.classes, seed=setup.seed),
        lambda batch, seed: batches_of(setup.data, few.supernet_train, batch=batch, seed=seed),
        few.search_val,
        space=family.space,
        recipe=short,
        seed=derive(setup.seed, "estimate"),
        hardware=setup.hardware.for_candidates(),
    )
    images = len(splits.search_val) / len(few.search_val)
    times = {
        "finetune": _ratio(whole.iterations, short.iterations),
        "statistics": _ratio(whole.bn_images, short.bn_images),
    }
    times |= {"detect": images, "score": images, "rest": 1.0}
    seconds = []
    for architecture in _drawn(setup, CANDIDATES):
        evaluator.measured(architecture, 0, 0)
        seconds.append(sum(times[part] * taken for part, taken in evaluator.times.items()))
    return statistics.fmean(seconds)


def _network_ahead(setup: Setup) -> Any:
    """What stands for the networks that are trained alone: the first that is named, else one drawn from the budget."""
    if setup.names_architectures:
        return named(setup)[0].architecture
    return setup.family.parse(str(next(_drawn(setup, 1))))  # what is drawn may be a part of it: half a decoder


def _drawn(setup: Setup, number: int) -> Iterator[object]:
    rng = np.random.default_rng(setup.seed)
    for _ in range(number):
        yield setup.bounded_space.decode(setup.bounded_space.sample(rng))


def _ratio(whole: int, short: int) -> float:
    return whole / short if short else 0.0


def bytes_left(setup: Setup, model: nn.Module) -> int:
    """What training a network leaves: its weights, and the checkpoint with the optimiser's moments."""
    weights: int = sum(value.nbytes for value in model.state_dict().values())
    learning: int = sum(value.nbytes for value in model.parameters() if value.requires_grad)
    return 2 * weights + learning * (2 if setup.schedule.optimizer == "adamw" else 1)


def peak_memory(hardware: Hardware) -> int:
    """The most bytes that this process has held: of the GPU where it trains on one, else of the machine."""
    if hardware.device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(hardware.device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _train(setup: Setup, splits: Splits, measured: _Measured) -> Forecast:
    if setup.family.pretraining is None:
        return Forecast("train", "nothing: no weights are shared", 0.0, 0, 0)
    schedule = setup.schedule.over(len(splits.supernet_train), steps=setup.train.steps)
    images = views_cached(setup, splits)
    seconds = measured.opening + images * measured.feature + schedule.steps * measured.supernet_step
    work = f"{schedule.steps:,} steps of {schedule.batch} images"
    if measured.feature:
        work += f"; {images:,} views of images through the frozen backbone"
    return Forecast("train", work, seconds, measured.memory, measured.supernet_bytes + images * measured.feature_bytes)


def _search(setup: Setup, splits: Splits, measured: _Measured) -> Forecast:
    workers, number = setup.hardware.workers, setup.evaluations
    work = f"{number} evaluations on {len(splits.search_val)} images"
    if workers > 1:
        work += f", {workers} at once"
    if setup.hardware.engine == "ray":
        work += ", one at a time: a cluster of N workers takes an Nth"
    trial = measured.search
    seconds = measured.opening + trial.before + number * trial.each / max(1, workers)
    if workers:
        seconds += measured.starting
    return Forecast("search", work, seconds, measured.memory * (1 + workers) + trial.memory, trial.disk)


def _retrain(setup: Setup, splits: Splits, measured: _Measured) -> Forecast:
    options, seeds = setup.retrain, setup.retrain.seeds
    searched = not setup.names_architectures
    chosen = setup.top_k + options.spread if searched else len(named(setup))
    best_draw = int(searched and setup.random_search)
    beside = [baseline for baseline, _ in baselines(setup, _network_ahead(setup))]
    own = chosen + best_draw + sum(one.architecture is not None for one in beside)
    starts = (SCRATCH, SUPERNET) if options.init == BOTH else (options.init,)
    begun = sum(map(options.share, starts))  # schedules of each that was chosen
    networks = chosen * len(starts) + len(beside) + best_draw
    schedule = setup.schedule.over(len(splits.train), steps=options.steps, factor=options.factor)
    others = chosen + len(beside) + best_draw - own
    steps = (chosen * begun + own - chosen) * measured.network_step + others * measured.baseline_step
    images = (2 * networks - others) * len(splits.val) * measured.network_image  # ours once more, without their trunk
    at_once, number = setup.hardware.side_by_side, seeds * networks
    turns = math.ceil(number / at_once) / number  # of the time that they take one after another
    seconds = measured.opening + seeds * (steps * schedule.steps + images) * turns
    if at_once > 1:
        seconds += measured.starting + measured.opening  # each process opens the data
    if options.init == BOTH:  # the start is chosen by two trainings more
        seconds += begun * schedule.steps * measured.network_step
    work = f"{networks} networks, {seeds} trainings each, {schedule.steps:,} steps of {schedule.batch} images"
    if at_once > 1:
        work += f", {at_once} at once"
    read = views_cached(setup, splits) if measured.own_feature else 0
    if read:
        work += f"; {read:,} views of images through the frozen backbone"
    seconds += read * measured.own_feature
    memory = measured.memory * (1 + at_once if at_once > 1 else 1)
    disk = number * measured.network_bytes + read * measured.own_feature_bytes
    return Forecast("retrain", work, seconds, memory, disk)
