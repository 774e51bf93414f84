"""How a candidate is scored: finetuned, statistics re-estimated, or both (MSNAS section 4.1)."""

from dataclasses import dataclass
from typing import Literal

from msnas.engine.schedule import OptimizerName, Schedule
from msnas.errors import ConfigError

Kind = Literal["finetune", "bn", "bn+finetune"]
KINDS: tuple[Kind, ...] = ("finetune", "bn", "bn+finetune")
METRICS = ("ap", "ap_agnostic")
BATCH = 8  # images a forward pass; part of a score, since images are padded to the largest of their batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How every candidate is scored; fields are checked (ConfigError).

    kind: `finetune` (the paper); `bn`: statistics re-estimated, nothing learned; `bn+finetune`: finetuned, then
    statistics re-estimated for the weights that came of it. iterations: steps of finetuning; 0 with `finetune` scores
    the supernet's weights and statistics as they are (Table 4's "no"). optimizer: best that of the supernet. lr:
    constant, for a batch of 32, scaled with the batch. bn_images, bn_batch: how many images the statistics are
    estimated from, and how many at once: the least number of values a channel, since a map may be 1x1. metric: what
    candidates are ranked by: `ap`, COCO's, or `ap_agnostic`, where classes do not matter and IoUs are 0.50 to 0.75,
    which is less noisy on little data; COCO's numbers are kept beside it.
    """

    kind: Kind = "finetune"
    iterations: int = 100
    batch: int = 32
    optimizer: OptimizerName = "sgd"
    lr: float = 0.004
    momentum: float = 0.9
    weight_decay: float = 1e-4
    decay_norms: bool = True
    clip: float = 0.0
    bn_images: int = 128
    bn_batch: int = 32
    score_batch: int = BATCH
    metric: str = "ap"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"candidate.recipe must be one of {', '.join(KINDS)}, but got {self.kind!r}.")
        if self.metric not in METRICS:
            raise ConfigError(f"candidate.metric must be one of {', '.join(METRICS)}, but got {self.metric!r}.")
        if self.iterations < 0:
            raise ConfigError(f"`candidate.iterations >= 0` must hold, but got {self.iterations}.")
        if self.estimates and not 16 <= self.bn_batch <= self.bn_images:
            came = f"bn_batch={self.bn_batch}, bn_images={self.bn_images}"
            raise ConfigError(f"`16 <= bn_batch <= bn_images` must hold for a candidate, but got {came}.")
        if self.finetunes:
            self.schedule()  # checks batch, lr, ...

    @property
    def name(self) -> str:
        """What the history calls it."""
        return self.kind

    @property
    def finetunes(self) -> bool:
        """Whether weights are trained at all."""
        return self.kind != "bn" and self.iterations > 0

    @property
    def estimates(self) -> bool:
        """Whether statistics are re-estimated before the score."""
        return self.kind != "finetune"

    def schedule(self) -> Schedule:
        """A fresh optimizer without warm-up at a constant rate."""
        return Schedule(
            steps=self.iterations,
            batch=self.batch,
            optimizer=self.optimizer,
            lr=self.lr * self.batch / 32,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            decay_norms=self.decay_norms,
            clip=self.clip,
        )
