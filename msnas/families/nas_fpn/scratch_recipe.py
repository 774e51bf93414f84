"""NAS-FPN's proxy task: the target task's recipe, shortened ("NAS-FPN", arXiv 1904.07392, section 4.2)."""

from dataclasses import dataclass, replace

from msnas.engine.recipe import Recipe
from msnas.engine.schedule import Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class ScratchRecipe(Recipe):
    """A whole training in `iterations` steps: warm-up from a tenth of the learning rate, then milestones.

    warmup, milestones: shares of the iterations (the paper: 10 epochs, divided by 10 at the eighth).
    Statistics of batch norms start fresh, with momentum max(0.1, 1/t): the published 0.003 never forgets its
    start in so few steps.
    """

    iterations: int = 17_180  # 10 epochs of COCO less the 7,392 images that score, batch 64
    batch: int = 64
    lr: float = 0.04  # for a batch of 32: 0.08 at 64
    warmup: float = 0.1
    milestones: tuple[float, ...] = (0.8,)

    @property
    def name(self) -> str:
        """What the history calls it."""
        return "scratch"

    def schedule(self) -> Schedule:
        """The shortened schedule."""
        constant = Recipe.schedule(self)
        marks = sorted({round(share * self.iterations) for share in self.milestones})
        return replace(
            constant,
            warmup_steps=round(self.warmup * self.iterations),
            warmup_start=constant.lr / 10,
            milestones=tuple(mark for mark in marks if 0 < mark < self.iterations),
        )
