"""What `msnas retrain front` will take: a few steps of every network, measured on this machine; nothing is begun."""

import math
import tempfile
import time
from pathlib import Path

from msnas.engine.evaluation import evaluate
from msnas.families.initial_weights import fpn_baseline, network
from msnas.pipeline.forecast import Forecast, bytes_left, few_prepared, peak_memory, step_seconds, views_cached
from msnas.pipeline.front_choice import front_choices
from msnas.pipeline.front_training import fpns_of_sizes
from msnas.runs.folder import FRONT, SEARCH
from msnas.setup.open_run import OpenRun
from msnas.setup.options import BOTH, SCRATCH, SUPERNET


def forecast_front(run: OpenRun) -> Forecast:
    """Time, memory and disk of training the run's front on this machine. Raises RunError where it has none.

    Left out are the latencies, which are measured once, and the choice of a start (`retrain.init=both`).
    """
    run = run.retraining
    run.require(SEARCH)
    choices = front_choices(run)
    setup, family, options = run.setup, run.setup.family, run.setup.retrain
    beside = list(fpns_of_sizes(run, choices)) if setup.front.fpn else []
    began = time.perf_counter()
    splits = setup.splits()
    opening = time.perf_counter() - began
    hardware, classes = setup.hardware.for_networks(), splits.train.classes
    schedule = setup.schedule.over(len(splits.train), steps=options.steps, factor=options.factor)
    begun = sum(map(options.share, (SCRATCH, SUPERNET) if options.init == BOTH else (options.init,)))
    starts = 2 if options.init == BOTH else 1

    seconds, disk = 0.0, 0
    with tempfile.TemporaryDirectory() as folder:
        few, feature, feature_bytes = few_prepared(setup, splits, hardware, Path(folder))
        ours = [network(family, choice.architecture, classes, seed=setup.seed) for choice in choices]
        fpns = [fpn_baseline(family, classes, seed=setup.seed, variant=fpn.variant) for fpn in beside]
        # A model, the schedules that it is trained for, its evaluations (ours also without their trunk), its starts.
        works = [(model, begun, 2 * starts, starts) for model in ours] + [(model, 1, 1, 1) for model in fpns]
        for model, schedules, passes, kept in works:
            seconds += schedules * schedule.steps * step_seconds(setup, model, few, hardware)
            judged = evaluate(model, few.search_val, hardware=hardware)
            image = (judged.seconds + judged.score_seconds) / len(few.search_val)
            seconds += passes * len(splits.val) * image
            disk += kept * bytes_left(setup, model)
    number, images = options.seeds * (starts * len(ours) + len(fpns)), views_cached(setup, splits)
    at_once = setup.hardware.side_by_side
    turns = math.ceil(number / at_once) / number  # of the time that they take one after another
    work = f"{number // options.seeds} networks, {options.seeds} trainings each, {schedule.steps:,} steps of "
    work += f"{schedule.batch} images" + (f", {at_once} at once" if at_once > 1 else "")
    seconds = opening * (2 if at_once > 1 else 1) + images * feature + options.seeds * seconds * turns
    memory = peak_memory(hardware) * (1 + at_once if at_once > 1 else 1)
    return Forecast(FRONT, work, seconds, memory, options.seeds * disk + images * feature_bytes)
