"""The first stage: the supernet, every step on one random valid path; or the backbone that decoders are searched on."""

import logging
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from msnas.data.batches import batches_of
from msnas.engine import checkpoint
from msnas.engine.delivery import Delivery
from msnas.engine.devices import Hardware, describe
from msnas.engine.distributed import ALONE, Group
from msnas.engine.loop import Training, train
from msnas.engine.schedule import Schedule
from msnas.engine.training_files import TrainingFiles
from msnas.errors import ConfigError
from msnas.families.initial_weights import pretraining_network
from msnas.files import write_json
from msnas.pipeline.branch_updates import branch_updates
from msnas.pipeline.prepared_data import prepared
from msnas.pipeline.search_checks import check_before_pretraining
from msnas.pipeline.tensorboard import Board, training_board
from msnas.runs.folder import DONE, STATUS, SUPERNET, UPDATES, WEIGHTS, record_environment
from msnas.runs.progress import Progress, duration
from msnas.seeds import derive
from msnas.setup.open_run import OpenRun
from msnas.setup.setup import Setup

STAGE = SUPERNET
log = logging.getLogger(__name__)


def pretrain(run: OpenRun, command: Sequence[str], group: Group = ALONE) -> str:
    """The stage: reads the data, leaves `supernet/weights.safetensors`, of a supernet or of a backbone's detector.

    command: its words, for the run's record. Returns what there is to say in the end.
    """
    setup, done = run.setup, run.done(STAGE)
    pretraining = setup.family_class.pretraining
    if done is not None:
        trained_before = f"The {pretraining} of run {run.name} is trained ({done['steps']} steps)"
        return f"{trained_before}. Next: msnas search run={run.name}"
    check_before_pretraining(run)
    hardware = setup.hardware.for_training_in(group)
    splits = prepared(setup, run.splits(writes=group.writes), hardware)
    seed = derive(setup.seed, STAGE)
    schedule = setup.schedule.over(len(splits.supernet_train), steps=setup.train.steps)
    batches = batches_of(
        setup.data, splits.supernet_train, batch=schedule.batch, seed=seed, rank=group.rank, world_size=group.size
    )
    path_of_step = paths(setup) if pretraining == "supernet" else None
    model = pretraining_network(setup.family, splits.train.classes, seed=setup.seed)
    folder = run.stage(STAGE)
    if group.writes:
        record_environment(run, command, describe(hardware))
        _announce(run, schedule, hardware)
        if caches := setup.family.caches_ahead(model, splits, seed=setup.seed):
            log.info(caches)
    every, delivery = setup.train.checkpoint_every, Delivery(schedule.batch)
    with (
        Progress(str(pretraining), schedule.steps, status=folder / STATUS, quiet=not group.writes) as progress,
        Board(folder, on=setup.tensorboard and group.writes) as board,
    ):
        on_board = training_board(
            board,
            model,
            splits.search_val,
            every=every,
            steps=schedule.steps,
            hardware=hardware,
            path_of_step=path_of_step,
        )

        def report(line: Mapping[str, Any]) -> None:
            delivery.add(line)
            progress.update(line["step"] + 1, f"loss {line['loss']:.3f}, {delivery}")
            on_board(line)

        training = Training(
            schedule=schedule,
            seed=setup.seed,
            stage=STAGE,
            path_of_step=path_of_step,
            hardware=hardware,
            group=group,
        )
        files = TrainingFiles(folder=folder, every=every, fingerprint=setup.network_fingerprint)
        trained = train(model, batches, training, files=files, report=report)
    if group.writes:
        checkpoint.save_weights(folder / WEIGHTS, model)
        if path_of_step is not None:
            write_json(folder / UPDATES, branch_updates(setup.family, path_of_step, schedule.steps))
        write_json(folder / DONE, {"steps": schedule.steps, "seconds": trained.seconds})
    speed = f" ({delivery})" if delivery.steps else ""
    return f"The {pretraining} is trained, in {duration(trained.seconds)}{speed}. Next: msnas search run={run.name}"


def _announce(run: OpenRun, schedule: Schedule, hardware: Hardware) -> None:
    setup = run.setup
    what = f"{setup.family_class.pretraining}, {schedule.steps} steps of {schedule.batch} images"
    log.info("Run %s: %s.", run.name, what)
    if setup.scale_name == "paper" and hardware.device.type == "cpu":
        log.info("This is the published scale, for 16 GPUs; on a CPU try scale=tiny.")


def paths(setup: Setup) -> Callable[[int], Hashable]:
    """The architecture of each step: a function of the run's seed and the step alone.

    Raises ConfigError for `train.sampling=walk` in a space that has no walk.
    """
    in_budget = setup.train.paths == "in_budget"
    space = setup.bounded_space if in_budget else setup.space
    draw = space.sample if in_budget or setup.train.sampling == "uniform" else getattr(space, "walk", None)
    if draw is None:
        raise ConfigError(f"train.sampling=walk means nothing in a {type(space).__name__}, which has no `walk`.")

    def path_of_step(step: int) -> Hashable:
        rng = np.random.default_rng(derive(setup.seed, STAGE, "path", step))
        architecture: Hashable = space.decode(draw(rng))
        return architecture

    return path_of_step
