"""What a user says about how networks learn: the options `schedule.*` and `candidate.*`. Torch-free."""

from dataclasses import dataclass

from msnas.engine.recipe import Kind, Recipe
from msnas.engine.schedule import Schedule


@dataclass(frozen=True, kw_only=True)
class ScheduleOptions:
    """Options `schedule.*`: a training's recipe, its length and marks in epochs; `Schedule` checks them."""

    batch: int
    epochs: float
    lr: float
    warmup: float
    warmup_lr: float
    milestones: tuple[float, ...]
    momentum: float
    weight_decay: float
    clip: float

    def over(self, images: int, *, steps: int | None, factor: float = 1.0) -> Schedule:
        """The schedule over `images` training images, `factor` times as long.

        steps: the whole length where it is given; warm-up and milestones keep their share. Raises ConfigError.
        """
        return Schedule.of_epochs(
            images=images,
            batch=self.batch,
            epochs=self.epochs * factor,
            lr=self.lr,
            warmup=self.warmup,
            warmup_lr=self.warmup_lr,
            milestones=[milestone * factor for milestone in self.milestones],
            momentum=self.momentum,
            weight_decay=self.weight_decay,
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
            lr=self.lr,
            bn_images=self.bn_images,
            bn_batch=self.bn_batch,
            metric=self.metric,
            momentum=schedule.momentum,
            weight_decay=schedule.weight_decay,
            clip=schedule.clip,
        )
