"""How long and how fast a network learns: steps, batch, and the learning rate of every step. Torch-free.

The paper's recipe (MSNAS 4.1): SGD, lr 0.00125 -> 0.04 over a warm-up epoch, divided by 10 at epochs 42 and
47 of 48.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from msnas.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Plain SGD with linear warm-up and milestones; every field is checked (ConfigError).

    batch: images a step, over all processes together. warmup_start: learning rate of step 0 where there is
    a warm-up. milestones: steps from which on the learning rate is multiplied by `gamma` once more. clip:
    largest norm of the whole gradient, 0 for no clipping. Weight decay acts on every trained parameter,
    norms and biases too, as the plain SGD of the paper does.
    """

    steps: int
    batch: int
    lr: float
    warmup_steps: int = 0
    warmup_start: float = 0.0
    milestones: tuple[int, ...] = ()
    gamma: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-4
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
        milestones: Sequence[float] = (),
        gamma: float = 0.1,
        momentum: float = 0.9,
        weight_decay: float = 1e-4,
        clip: float = 0.0,
        steps: int | None = None,
    ) -> "Schedule":
        """The schedule of `epochs` over `images` training images; warmup and milestones are in epochs too.

        steps: another length of the whole; warm-up and milestones keep their share of it.
        """
        _must(images >= 1, "`images >= 1`", images=images)
        _must(0 < epochs < math.inf, "`0 < epochs < inf`", epochs=epochs)
        inside = all(0 < milestone < epochs for milestone in milestones)
        _must(inside, "`0 < milestone < epochs`", milestones=tuple(milestones), epochs=epochs)
        total = max(1, round(epochs * images / batch)) if steps is None else steps
        marks = sorted({round(milestone / epochs * total) for milestone in milestones})
        return cls(
            steps=total,
            batch=batch,
            lr=lr,
            warmup_steps=min(total, round(warmup / epochs * total)),
            warmup_start=min(warmup_lr, lr),
            milestones=tuple(m for m in marks if 0 < m < total),  # a run of a few steps has no room for all
            gamma=gamma,
            momentum=momentum,
            weight_decay=weight_decay,
            clip=clip,
        )

    def lr_at(self, step: int) -> float:
        """Learning rate of `step`, counted from 0."""
        if step < self.warmup_steps:
            return self.warmup_start + (self.lr - self.warmup_start) * step / self.warmup_steps
        passed = sum(step >= milestone for milestone in self.milestones)
        return self.lr * self.gamma**passed


def _must(holds: bool, rule: str, **came: object) -> None:
    if not holds:
        values = ", ".join(f"{name}={value}" for name, value in came.items())
        raise ConfigError(f"A schedule must keep {rule}, but got {values}.")
