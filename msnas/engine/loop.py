"""The one training loop: the supernet, a candidate's finetune and every retraining go through it.

Nothing in a step depends on the steps before it but weights and momentum: its images, its path and all of
its random draws are functions of the step. A run that was killed therefore goes on bit for bit as if it had
not been (on one CPU machine with one number of threads), and a checkpoint holds no generator's state.
"""

import math
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from msnas.engine import checkpoint
from msnas.engine.batch_norm import norms_of, restart
from msnas.engine.batch_source import BatchSource, Target
from msnas.engine.devices import Hardware, to_device
from msnas.engine.distributed import ALONE, Group
from msnas.engine.interrupt import Interrupted, StopSignal
from msnas.engine.journal import Journal
from msnas.engine.schedule import Schedule
from msnas.errors import RunError, TrainingError
from msnas.seeds import derive

CHECKPOINT, METRICS = "checkpoint.pt", "metrics.jsonl"


@dataclass(frozen=True, slots=True)
class Trained:
    """What one call of `train` did: its first step, one past its last, its seconds, the loss of each step."""

    first: int
    last: int
    seconds: float
    losses: tuple[float, ...]


def train(
    model: nn.Module,
    batches: BatchSource,
    schedule: Schedule,
    *,
    seed: int,
    stage: str,
    replicate: int = 0,
    path_of_step: Callable[[int], Hashable] | None = None,
    hardware: Hardware | None = None,
    group: Group = ALONE,
    folder: Path | None = None,
    fingerprint: Mapping[str, Any] | None = None,
    save_every: int = 500,
    restart_statistics: bool = False,
    progress: Callable[[int, str], None] | None = None,
    on_step: Callable[[Mapping[str, Any]], None] | None = None,
) -> Trained:
    """Train `model` in place for the steps of `schedule` that `folder` does not hold yet.

    model: called as `model(images, targets, path)`, gives a dict of losses. batches: this process's share
    of each step. seed, stage, replicate: what the random draws of a step derive from. path_of_step: the path of
    each step; None: the model has one path. folder: gets `checkpoint.pt` (every `save_every` steps and at the
    end) and `metrics.jsonl`; None keeps nothing.
    fingerprint: what the checkpoint must have been made with, beside the schedule and the seed.
    restart_statistics: batch norms forget their statistics; momentum max(0.1, 1/t) at the t-th step.
    progress: told the number of steps done and a text after each. on_step: told each line of the journal.

    Raises TrainingError where the loss or the gradient is not finite (the weights are then those of the
    step before) or no memory is left, Interrupted after Ctrl-C or SIGTERM, RunError for what is wrong with
    `folder`.
    """
    hardware = hardware or Hardware()
    model = group.prepare(hardware.place(model)).train()
    norms = norms_of(model)
    learner = _Learner(model, schedule, hardware, group)
    made_with = {"stage": stage, "seed": seed, "replicate": replicate, "schedule": asdict(schedule)}
    keeper = _Keeper(folder, learner.parts, {**made_with, **(fingerprint or {})}, group)
    first, began, totals = keeper.restore(), time.perf_counter(), []

    with keeper.journal(first) as journal, StopSignal(enabled=folder is not None) as stop, _memory(schedule):
        for step in range(first, schedule.steps):
            step_began = time.perf_counter()
            torch.manual_seed(derive(seed, stage, replicate, step, group.rank))
            path = None if path_of_step is None else path_of_step(step)
            group.check_same(step, path)
            if restart_statistics:
                restart(norms, step)
            images, targets = to_device(*batches.batch(step), hardware.device)
            assert len(images) * group.size == schedule.batch, "every process loads its own share of a batch"
            losses, norm = learner.learn(step, images, targets, path)

            totals.append(sum(losses.values()))
            line: dict[str, Any] = {"step": step, "loss": totals[-1], "lr": schedule.lr_at(step), "norm": norm}
            line |= {**losses, "seconds": time.perf_counter() - step_began, "architecture": str(path or "")}
            journal.write(line)
            stopping = group.mean([float(stop.requested)])[0] > 0
            if (step + 1) % save_every == 0 or step + 1 == schedule.steps or stopping:
                group.average_statistics(model)
                journal.sync()
                keeper.save(step + 1)
            if progress is not None and group.writes:
                progress(step + 1, f"loss {totals[-1]:.3f}")
            if on_step is not None and group.writes:
                on_step(line)
            if stopping:
                raise Interrupted(stage, step + 1, schedule.steps)
    return Trained(first, schedule.steps, time.perf_counter() - began, tuple(totals))


class _Learner:
    """A model with its optimizer: what one step does to the weights."""

    def __init__(self, model: nn.Module, schedule: Schedule, hardware: Hardware, group: Group) -> None:
        self.model, self.schedule, self.hardware, self.group = model, schedule, hardware, group
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.optimizer, self.scaler = _sgd(self.parameters, schedule), hardware.scaler()
        self.parts: dict[str, checkpoint.Stateful] = {
            "model": model,
            "optimizer": self.optimizer,
            "scaler": self.scaler,
        }

    def learn(
        self, step: int, images: Sequence[Tensor], targets: Sequence[Target], path: Hashable
    ) -> tuple[dict[str, float], float]:
        """One step of SGD along `path`. Returns each loss, and the norm of the gradient before it is clipped.

        Raises TrainingError before any weight is touched where one of them is not finite.
        """
        with self.hardware.autocast():
            losses = self.model(images, targets, path)
        loss = torch.stack([part.float() for part in losses.values()]).sum()
        values = _finite(losses, targets, step, self.group)
        self.optimizer.zero_grad(set_to_none=True)  # not 0: branches without a gradient must not even decay
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.group.exchange_gradients(self.parameters)
        self.scaler.unscale_(self.optimizer)
        norm = _clip(self.parameters, self.schedule.clip)
        if not self.scaler.is_enabled():  # fp16 overflows now and then: its scaler then leaves the step out
            _finite_norm(norm, targets, step, self.group)
        for settings in self.optimizer.param_groups:
            settings["lr"] = self.schedule.lr_at(step)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return values, norm


def _sgd(parameters: Sequence[nn.Parameter], schedule: Schedule) -> torch.optim.SGD:
    """SGD, fused: measured on one core, 1.6 times (large tensors) to 3 times (small ones) as fast as without.

    Fused SGD fails when some parameters have a momentum and others have none yet, as when a path is new; so
    all begin with 0, which gives the same first step.
    """
    optimizer = torch.optim.SGD(
        parameters,
        lr=schedule.lr,
        momentum=schedule.momentum,
        weight_decay=schedule.weight_decay,
        fused=True,
    )
    if schedule.momentum:
        for parameter in parameters:
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


def _finite(losses: Mapping[str, Tensor], targets: Sequence[Target], step: int, group: Group) -> dict[str, float]:
    """Each loss, averaged over all processes; a TrainingError on all of them unless all are finite."""
    own = torch.stack([part.detach().float() for part in losses.values()]).tolist()
    bad = not all(map(math.isfinite, own))
    *means, bad_anywhere = group.mean([*own, float(bad)])
    if bad_anywhere:
        named = {name: value for name, value in zip(losses, own, strict=True) if not math.isfinite(value)}
        told = group.gather((named, _image_ids(targets)) if bad else None)
        values, ids = next(one for one in told if one is not None)
        parts = ", ".join(f"{name}={value}" for name, value in values.items())
        raise TrainingError(
            f"Every loss must be finite, but got {parts} at step {step}, images {ids}; "
            f"try a smaller learning rate or a longer warm-up."
        )
    return dict(zip(losses, means, strict=True))


def _image_ids(targets: Sequence[Target]) -> list[int]:
    return [int(target["image_id"]) for target in targets]


def _clip(parameters: Sequence[nn.Parameter], largest: float) -> float:
    """Scale the whole gradient down to norm `largest` (0: leave it); returns its norm before that."""
    norm = get_total_norm([p.grad for p in parameters if p.grad is not None])
    if norm > largest > 0:
        clip_grads_with_norm_(parameters, largest, norm)
    return float(norm)


def _finite_norm(norm: float, targets: Sequence[Target], step: int, group: Group) -> None:
    """Raise TrainingError unless the gradient, which is the same on all processes, is finite."""
    if not math.isfinite(norm):
        ids = [id_ for share in group.gather(_image_ids(targets)) for id_ in share]
        raise TrainingError(
            f"The gradient must be finite, but its norm is {norm} at step {step}, images {ids}; "
            f"try a smaller learning rate."
        )


@contextmanager
def _memory(schedule: Schedule) -> Iterator[None]:
    """Tells that memory ran out as a user can act on it."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        on_gpu = isinstance(error, torch.OutOfMemoryError)
        if isinstance(error, RuntimeError) and not on_gpu and "allocate memory" not in str(error):
            raise
        rule = f"A batch of {schedule.batch} images must fit into memory, and does not"
        raise TrainingError(f"{rule}; lower schedule.batch, data.short_side or detector.rois_per_image.") from error


@dataclass(frozen=True, slots=True)
class _Keeper:
    """The files of one training in `folder`, or none; one process writes, all read."""

    folder: Path | None
    parts: dict[str, checkpoint.Stateful]
    fingerprint: dict[str, Any]
    group: Group

    def restore(self) -> int:
        """Every part as the checkpoint has it; returns the steps done."""
        step = 0
        if self.folder is not None:
            step = checkpoint.restore_parts(self.folder / CHECKPOINT, self.parts, fingerprint=self.fingerprint)
        steps = self.group.gather(step)
        if len(set(steps)) > 1:
            raise RunError(f"All machines must see one run folder, but its checkpoint was at steps {steps} for them.")
        return step

    def journal(self, first: int) -> Journal:
        """The journal of the steps from `first` on."""
        writes = self.folder is not None and self.group.writes
        return Journal(self.folder / METRICS if self.folder and writes else None, first_step=first)

    def save(self, step: int) -> None:
        """Keep where `step` steps have led."""
        if self.folder is not None and self.group.writes:
            checkpoint.save_parts(self.folder / CHECKPOINT, step, self.parts, fingerprint=self.fingerprint)
