"""The first stage: the supernet, every step on one random valid path; or the backbone that decoders are searched on."""

import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from omegaconf import DictConfig

from msnas.call import Call
from msnas.engine import checkpoint
from msnas.engine.devices import Hardware
from msnas.engine.distributed import ALONE, Group
from msnas.engine.loop import Training, train
from msnas.engine.schedule import Schedule
from msnas.engine.training_files import TrainingFiles
from msnas.errors import ConfigError
from msnas.families.family import family_of
from msnas.files import write_json
from msnas.pipeline.tensorboard import Board, training_board
from msnas.runs.folder import Run
from msnas.runs.progress import Progress, duration
from msnas.seeds import derive
from msnas.setup.networks import first
from msnas.setup.space import bounded_space, plain_space
from msnas.setup.training import batches_of, hardware_of, open_splits, record_start
from supernet.strides.architecture import Architecture

STAGE = "supernet"


def train_first(run: Run, call: Call, group: Group = ALONE) -> None:
    """The stage: reads the data, leaves `supernet/weights.safetensors`, of a supernet or of a backbone's detector."""
    config, done = run.config, run.done(STAGE)
    family = family_of(config)
    if done is not None:
        if group.writes:
            told = f"The {family.FIRST} of run {run.name} is trained ({done['steps']} steps)"
            print(f"{told}. Next: msnas search run={run.name}")
        return
    hardware = hardware_of(config, threads=config.hardware.train_threads)
    splits = open_splits(config, say=group.writes)
    seed = derive(config.seed, STAGE)
    schedule = schedule_of(config, images=len(splits.supernet_train), steps=config.train.steps)
    batches = batches_of(config, splits.supernet_train, batch=schedule.batch, seed=seed, group=group)
    path_of_step = paths(config) if family.SHARES_WEIGHTS else None
    model = first(config, splits.train.classes)
    folder = run.stage(STAGE)
    if group.writes:
        record_start(run, call, hardware)
        _announce(run, schedule, hardware)
    every = config.train.checkpoint_every
    with (
        Progress(family.FIRST, schedule.steps, status=folder / "status.json", quiet=not group.writes) as progress,
        Board(folder, on=config.log.tensorboard and group.writes) as board,
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
            progress.update(line["step"] + 1, f"loss {line['loss']:.3f}")
            on_board(line)

        training = Training(
            schedule=schedule,
            seed=config.seed,
            stage=STAGE,
            path_of_step=path_of_step,
            hardware=hardware,
            group=group,
        )
        made_with = {"space": str(config.space), "detector": str(config.detector)}
        files = TrainingFiles(folder=folder, every=every, fingerprint=made_with)
        trained = train(model, batches, training, files=files, report=report)
    if group.writes:
        checkpoint.save_weights(folder / "weights.safetensors", model)
        write_json(folder / "done.json", {"steps": schedule.steps, "seconds": trained.seconds})
        print(f"The {family.FIRST} is trained, in {duration(trained.seconds)}. Next: msnas search run={run.name}")


def _announce(run: Run, schedule: Schedule, hardware: Hardware) -> None:
    first = family_of(run.config).FIRST
    print(f"Run {run.name}: {first}, {schedule.steps} steps of {schedule.batch} images.", file=sys.stderr)
    if run.config.scale_name == "paper" and hardware.device.type == "cpu":
        print("This is the published scale, for 16 GPUs; on a CPU try scale=tiny.", file=sys.stderr)


def schedule_of(config: DictConfig, *, images: int, steps: int | None, factor: float = 1.0) -> Schedule:
    """The recipe of `config.schedule` over `images` training images, `factor` times as long.

    steps: the whole length where it is given; what is given in epochs keeps its share.
    """
    recipe = config.schedule
    total = None if steps is None else max(1, round(steps * factor))
    return Schedule.of_epochs(
        images=images,
        batch=recipe.batch,
        epochs=recipe.epochs * factor,
        lr=recipe.lr,
        warmup=recipe.warmup,
        warmup_lr=recipe.warmup_lr,
        warmup_steps=recipe.warmup_steps,
        decay=recipe.decay,
        milestones=[milestone * factor for milestone in recipe.milestones],
        optimizer=recipe.optimizer,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        decay_norms=recipe.decay_norms,
        clip=recipe.clip,
        steps=total,
    )


def paths(config: DictConfig) -> Callable[[int], Architecture]:
    """The architecture of each step: a function of the run's seed and the step alone."""
    if config.train.paths not in ("all", "in_budget"):
        raise ConfigError(f"train.paths must be all or in_budget, but got {config.train.paths!r}.")
    space = bounded_space(config) if config.train.paths == "in_budget" else plain_space(config)
    how = {} if config.train.paths == "in_budget" else {"sampling": config.train.sampling}

    def path_of_step(step: int) -> Architecture:
        rng = np.random.default_rng(derive(config.seed, STAGE, "path", step))
        architecture: Architecture = space.decode(space.sample(rng, **how))
        return architecture

    return path_of_step
