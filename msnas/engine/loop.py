"""The training step: the supernet, a candidate's finetune and every retraining of a whole detector go through it.

Nothing in a step depends on the steps before it but weights and the optimizer's state: its images, its path and all of
its random draws are functions of the step. A run that was killed therefore goes on bit for bit as if it had
not been (on one CPU machine with one number of threads), and a checkpoint holds no generator's state.
"""

import math
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_

from msnas.engine.batch_norm import norms_of, restart
from msnas.engine.batch_source import BatchSource, Target
from msnas.engine.checkpoint import Stateful
from msnas.engine.devices import Hardware, to_device
from msnas.engine.distributed import ALONE, Group
from msnas.engine.gpu_turns import is_out_of_memory
from msnas.engine.interrupt import Interrupted, StopSignal
from msnas.engine.optimizer import gradient_norm, make_optimizer, set_lr
from msnas.engine.schedule import Schedule
from msnas.engine.training_files import NO_FILES, TrainingFiles
from msnas.errors import TrainingError
from msnas.seeds import derive

Report = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How a network is trained, and by which process.

    seed, stage, replicate: what the random draws of a step derive from. path_of_step: the path of each step; None: the
    model has one path. restart_statistics: batch norms forget their statistics; momentum max(0.1, 1/t) at step t.
    """

    schedule: Schedule
    seed: int
    stage: str
    replicate: int = 0
    path_of_step: Callable[[int], Hashable] | None = None
    restart_statistics: bool = False
    hardware: Hardware = field(default_factory=Hardware)
    group: Group = ALONE

    def begin(self, step: int) -> Hashable | None:
        """Seed what is drawn in `step`; returns its path where the model has several."""
        torch.manual_seed(derive(self.seed, self.stage, self.replicate, step, self.group.rank))
        return None if self.path_of_step is None else self.path_of_step(step)

    def made_with(self) -> dict[str, Any]:
        """What a checkpoint must have been made with to go on from it."""
        run = {"stage": self.stage, "seed": self.seed, "replicate": self.replicate}
        return {**run, "schedule": asdict(self.schedule)}


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
    training: Training,
    *,
    files: TrainingFiles = NO_FILES,
    report: Report | None = None,
) -> Trained:
    """Train `model` in place for the steps of the schedule that `files` do not hold yet.

    model: called as `model(images, targets, path)`, gives a dict of losses. batches: this process's share of each step.
    report: called with each line of the journal, on the process that writes.

    Raises TrainingError where the loss or the gradient is not finite (the weights are then those of the step before) or
    no memory is left, Interrupted after Ctrl-C or SIGTERM, RunError for what is wrong with the files.
    """
    schedule, hardware, group = training.schedule, training.hardware, training.group
    model = group.prepare(hardware.place(model)).train()
    norms = norms_of(model) if training.restart_statistics else []
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer, scaler = make_optimizer(model, schedule), hardware.scaler()
    parts: dict[str, Stateful] = {"model": model, "optimizer": optimizer, "scaler": scaler}
    first, began, totals = files.restore(parts, training.made_with(), group), time.perf_counter(), []
    if training.path_of_step is not None and first < schedule.steps:  # norms over processes wait for each other before
        group.agree(first, training.path_of_step(first), ())  # a step's own `agree` could tell of other paths

    with files.journal(first, group) as journal, StopSignal(enabled=files.are_kept) as stop, _memory(schedule):
        for step in range(first, schedule.steps):
            step_began, lr = time.perf_counter(), schedule.lr_at(step)
            path = training.begin(step)
            restart(norms, step)

            asked = time.perf_counter()
            images, targets = to_device(*batches.batch(step), hardware.device)
            waited = time.perf_counter() - asked
            assert len(images) * group.size == schedule.batch, "every process loads its own share of a batch"
            with hardware.autocast():
                losses = model(images, targets, path)
            parts_of_loss = torch.stack([part.float() for part in losses.values()])
            optimizer.zero_grad(set_to_none=True)  # not 0: branches without a gradient must not even decay
            scaler.scale(parts_of_loss.sum()).backward()  # type: ignore[no-untyped-call]
            *used, stopping = group.agree(step, path, [*(p.grad is not None for p in parameters), stop.requested])
            means = group.exchange_gradients(parameters, used, parts_of_loss.detach())
            scaler.unscale_(optimizer)
            total = gradient_norm(parameters)
            *values, norm = torch.cat([means, total.float().reshape(1)]).tolist()
            loss_values = dict(zip(losses, values, strict=True))
            _check_losses(loss_values, losses, targets, step, group)
            if not scaler.is_enabled():  # fp16 overflows now and then: its scaler then leaves the step out
                _check_norm(norm, targets, step, group)
            if norm > schedule.clip > 0:
                clip_grads_with_norm_(parameters, schedule.clip, total)
            set_lr(optimizer, lr)
            scaler.step(optimizer)
            scaler.update()

            totals.append(sum(values))
            line: dict[str, Any] = {"step": step, "loss": totals[-1], "lr": lr, "norm": norm}
            line |= {**loss_values, "seconds": time.perf_counter() - step_began, "waited": waited}
            line["architecture"] = str(path or "")
            journal.write(line)
            if (step + 1) % files.every == 0 or step + 1 == schedule.steps or stopping:
                group.average_statistics(model)
                journal.sync()
                files.save(step + 1, parts, training.made_with(), group)
            if report is not None and group.writes:
                report(line)
            if stopping:
                raise Interrupted(training.stage, step + 1, schedule.steps)
    return Trained(first, schedule.steps, time.perf_counter() - began, tuple(totals))


def _check_losses(
    means: Mapping[str, float], losses: Mapping[str, Tensor], targets: Sequence[Target], step: int, group: Group
) -> None:
    """Raise TrainingError on all processes unless the losses' means over them are finite."""
    if all(map(math.isfinite, means.values())):
        return
    own = {name: loss.item() for name, loss in losses.items() if not math.isfinite(loss.item())}
    faults = group.gather((own, _image_ids(targets)) if own else None)
    named, ids = next((one for one in faults if one is not None), (means, _image_ids(targets)))
    parts = ", ".join(f"{name}={value}" for name, value in named.items())
    raise TrainingError(
        f"Every loss must be finite, but got {parts} at step {step}, images {ids}; "
        f"try a smaller learning rate or a longer warm-up."
    )


def _image_ids(targets: Sequence[Target]) -> list[int]:
    return [int(target["image_id"]) for target in targets]


def _check_norm(norm: float, targets: Sequence[Target], step: int, group: Group) -> None:
    """Raise TrainingError unless the gradient, which is the same on all processes, is finite."""
    if not math.isfinite(norm):
        ids = [id_ for share in group.gather(_image_ids(targets)) for id_ in share]
        raise TrainingError(
            f"The gradient must be finite, but its norm is {norm} at step {step}, images {ids}; "
            f"try a smaller learning rate."
        )


@contextmanager
def _memory(schedule: Schedule) -> Iterator[None]:
    """Name what a user can change where memory runs out."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        on_cpu = isinstance(error, MemoryError) or "allocate memory" in str(error)
        if not on_cpu and not is_out_of_memory(error):
            raise
        rule = f"A batch of {schedule.batch} images must fit into memory, and does not"
        raise TrainingError(f"{rule}; lower schedule.batch, data.short_side or detector.rois_per_image.") from error
