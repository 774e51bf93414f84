"""What a user says about how networks learn: the options `schedule.*` and `candidate.*`. Torch-free."""

from dataclasses import dataclass

from msnas.engine.recipe import Kind, Recipe
from msnas.engine.schedule import Decay, OptimizerName, Schedule


@dataclass(frozen=True, kw_only=True)
class ScheduleOptions:
    """Options `schedule.*`: a training's recipe, its length and marks in epochs; `Schedule` checks them."""

    batch: int
    epochs: float
    optimizer: OptimizerName = "sgd"
    lr: float
    warmup: float
    warmup_steps: int | None = None
    warmup_lr: float
    decay: Decay = "step"
    milestones: tuple[float, ...]
    momentum: float
    weight_decay: float
    decay_norms: bool = True
    clip: float

    def over(self, images: int, *, steps: int | None, factor: float = 1.0) -> Schedule:
        """The schedule over `images` training images, `factor` times as long.

        steps: the whole length where it is given; what is given in epochs keeps its share. Raises ConfigError.
        """
        return Schedule.of_epochs(
            images=images,
            batch=self.batch,
            epochs=self.epochs * factor,
            lr=self.lr,
            warmup=self.warmup,
            warmup_lr=self.warmup_lr,
            warmup_steps=self.warmup_steps,
            decay=self.decay,
            milestones=[milestone * factor for milestone in self.milestones],
            optimizer=self.optimizer,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            decay_norms=self.decay_norms,
            clip=self.clip,
            steps=None if steps is None else max(1, round(steps * factor)),
        )


@dataclass(frozen=True, kw_only=True)
class CandidateOptions:
    """Options `candidate.*`: how a candidate that takes its weights from a supernet is scored."""

    recipe: Kind
    finetune: bool
    metric: str
    iterations: int
    batch: int
    optimizer: OptimizerName = "sgd"
    lr: float
    rungs: tuple[float, ...]
    bn_images: int
    bn_batch: int

    def recipe_with(self, schedule: ScheduleOptions) -> Recipe:
        """The recipe, with momentum, weight decay and clipping as the supernet was trained. Raises ConfigError."""
        return Recipe(
            kind=self.recipe,
            iterations=self.iterations if self.finetune else 0,
            batch=self.batch,
            optimizer=self.optimizer,
            lr=self.lr,
            bn_images=self.bn_images,
            bn_batch=self.bn_batch,
            metric=self.metric,
            momentum=schedule.momentum,
            weight_decay=schedule.weight_decay,
            decay_norms=schedule.decay_norms,
            clip=schedule.clip,
        )
