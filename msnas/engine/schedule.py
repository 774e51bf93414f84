"""How long and how fast a network learns: steps, batch, and the learning rate of every step. Torch-free.

The paper's recipe (MSNAS 4.1): SGD, lr 0.00125 -> 0.04 over a warm-up epoch, divided by 10 at epochs 42 and
47 of 48. Beside it AdamW and the cosine of SGDR (Loshchilov & Hutter, arXiv 1711.05101 and 1608.03983).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from msnas.errors import ConfigError

OptimizerName = Literal["sgd", "adamw"]
Decay = Literal["step", "cosine"]
OPTIMIZERS: tuple[OptimizerName, ...] = ("sgd", "adamw")
DECAYS: tuple[Decay, ...] = ("step", "cosine")
COSINE_END = 0.01  # of the learning rate, at the last step


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The optimizer and its learning rate with linear warm-up and decay; every field is checked (ConfigError).

    batch: images a step, over all processes together. warmup_start: learning rate of step 0 where there is a warm-up.
    decay: `step`, times `gamma` once more from each of the `milestones` (steps) on, or `cosine`, to a hundredth at the
    last step. clip: largest norm of the whole gradient, 0 for no clipping. momentum: of SGD; betas: of AdamW.
    weight_decay: times the weight, SGD adds it to the gradient (and to the momentum), AdamW takes lr times it off the
    weight. decay_norms: norms and biases decay too, as with the plain SGD of the paper. slow: the factor on the
    learning rate of what a model names in `slow_parameters()`.
    """

    steps: int
    batch: int
    lr: float
    warmup_steps: int = 0
    warmup_start: float = 0.0
    decay: Decay = "step"
    milestones: tuple[int, ...] = ()
    gamma: float = 0.1
    optimizer: OptimizerName = "sgd"
    momentum: float = 0.9
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 1e-4
    decay_norms: bool = True
    slow: float = 0.1
    clip: float = 0.0

    def __post_init__(self) -> None:
        steps, warmup, marks = self.steps, self.warmup_steps, self.milestones
        rising = all(a < b for a, b in pairwise((0, *marks, steps)))
        _must(steps >= 1, "`steps >= 1`", steps=steps)
        _must(self.batch >= 1, "`batch >= 1`", batch=self.batch)
        _must(0 < self.lr < math.inf, "`0 < lr < inf`", lr=self.lr)
        _must(0 <= warmup <= steps, "`0 <= warmup_steps <= steps`", warmup_steps=warmup, steps=steps)
        _must(0 <= self.warmup_start <= self.lr, "`0 <= warmup_start <= lr`", warmup_start=self.warmup_start)
        _must(rising, "`0 < milestones < steps`, rising", milestones=marks, steps=steps)
        _must(self.decay in DECAYS, "`decay` step or cosine", decay=self.decay)
        _must(self.decay == "step" or not marks, "`milestones` with `decay=step` only", milestones=marks)
        _must(self.optimizer in OPTIMIZERS, "`optimizer` sgd or adamw", optimizer=self.optimizer)
        _must(all(0 <= beta < 1 for beta in self.betas), "`0 <= betas < 1`", betas=self.betas)
        _must(0 < self.slow <= 1, "`0 < slow <= 1`", slow=self.slow)
        _must(0 < self.gamma <= 1, "`0 < gamma <= 1`", gamma=self.gamma)
        _must(0 <= self.momentum < 1, "`0 <= momentum < 1`", momentum=self.momentum)
        _must(0 <= self.weight_decay < math.inf, "`0 <= weight_decay < inf`", weight_decay=self.weight_decay)
        _must(0 <= self.clip < math.inf, "`0 <= clip < inf` (0: off)", clip=self.clip)

    @classmethod
    def of_epochs(
        cls,
        *,
        images: int,
        batch: int,
        epochs: float,
        lr: float,
        warmup: float = 0.0,
        warmup_lr: float = 0.0,
        warmup_steps: int | None = None,
        decay: Decay = "step",
        milestones: Sequence[float] = (),
        steps: int | None = None,
        **others: Any,
    ) -> "Schedule":
        """The schedule of `epochs` over `images` training images; warmup and milestones are in epochs too.

        warmup_steps: the warm-up in steps, in place of epochs. steps: another length of the whole; what is given in
        epochs keeps its share of it. milestones: have no meaning, and are left out, where `decay` is cosine. others:
        fields of the schedule.
        """
        _must(images >= 1, "`images >= 1`", images=images)
        _must(0 < epochs < math.inf, "`0 < epochs < inf`", epochs=epochs)
        counted = warmup_steps is None or (isinstance(warmup_steps, int) and warmup_steps >= 0)
        _must(counted, "`warmup_steps >= 0`, an integer", warmup_steps=warmup_steps)
        inside = all(0 < milestone < epochs for milestone in milestones)
        _must(inside, "`0 < milestone < epochs`", milestones=tuple(milestones), epochs=epochs)
        total = max(1, round(epochs * images / batch)) if steps is None else steps
        marks = sorted({round(milestone / epochs * total) for milestone in milestones if decay == "step"})
        warming = round(warmup / epochs * total) if warmup_steps is None else warmup_steps
        return cls(
            steps=total,
            batch=batch,
            lr=lr,
            warmup_steps=min(total, warming),
            warmup_start=min(warmup_lr, lr),
            decay=decay,
            milestones=tuple(m for m in marks if 0 < m < total),  # a run of a few steps has no room for all
            **others,
        )

    def lr_at(self, step: int) -> float:
        """Learning rate of `step`, counted from 0."""
        if step < self.warmup_steps:
            return self.warmup_start + (self.lr - self.warmup_start) * step / self.warmup_steps
        if self.decay == "cosine":
            done = (step - self.warmup_steps) / max(1, self.steps - 1 - self.warmup_steps)
            return self.lr * (COSINE_END + (1 - COSINE_END) * (1 + math.cos(math.pi * done)) / 2)
        passed = sum(step >= milestone for milestone in self.milestones)
        return self.lr * self.gamma**passed


def _must(holds: bool, rule: str, **came: object) -> None:
    if not holds:
        values = ", ".join(f"{name}={value}" for name, value in came.items())
        raise ConfigError(f"A schedule must keep {rule}, but got {values}.")
