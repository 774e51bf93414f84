"""The few views of an image that a cache of features holds, in the place of the many that augmentation would draw."""

import random
from dataclasses import dataclass

from msnas.data.augmentation import View
from msnas.seeds import derive


@dataclass(frozen=True, kw_only=True)
class FixedViews:
    """`number` views of each image: as it is, and others at random scales, always the same.

    jitter, crop: of the others, as `View.drawn` has them.
    """

    number: int = 1
    jitter: tuple[float, float] = (1.0, 1.0)
    crop: bool = False

    def of(self, file_name: str, whole: tuple[int, int]) -> tuple[View, ...]:
        """Of an image of (height, width) `whole`, none of them mirrored; a function of its name in the data."""
        seeds = [derive("view", file_name, number) for number in range(1, self.number)]
        others = [View.drawn(seed, whole, flip=0.0, jitter=self.jitter, crop=self.crop) for seed in seeds]
        return (View(whole=whole, size=whole), *others)

    def choose(self, seed: int, flip: float) -> tuple[bool, int]:
        """Whether an image is mirrored with this seed, as it would be without a cache, and which view is taken."""
        draw = random.Random(seed)
        return draw.random() < flip, draw.randrange(self.number)


AS_IT_IS = FixedViews()
