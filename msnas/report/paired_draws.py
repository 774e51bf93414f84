"""How sure a difference of APs is: a bootstrap over trainings and test images together.

Images and seeds are drawn with replacement, the same draws for all networks, so that differences are paired. A few
values drawn again vary too little: their part is widened to what Student's t says of so many (narrowness bias,
Hesterberg, "What Teachers Should Know About the Bootstrap", The American Statistician 69, 2015).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
LEVEL = 0.95
NORMAL = 1.960
STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)  # 97.5 % of t, 1 degree of freedom and up
ENOUGH = 3  # trainings of each side below which no difference is judged


@dataclass(frozen=True)
class Interval:
    """A number with its standard error and its percentile interval over draws.

    trainings: the fewest that either side of it rests on; with 1 the interval is over the test images alone.
    """

    value: float
    se: float
    low: float
    high: float
    trainings: int


@dataclass(frozen=True)
class _Side:
    """What stands on one side of a difference: `images` and `units`, both [1 + draws], are its mean and noise.

    units: how the mean moves with the trainings (or networks) drawn, as wide as `count` of them can tell.
    """

    images: Array
    units: Array
    count: int

    @property
    def stretch(self) -> float:
        """Student's quantile over the normal one."""
        freedom = self.count - 1
        return STUDENT[min(freedom, len(STUDENT)) - 1] / NORMAL if freedom else 1.0


class PairedDraws:
    """APs of several networks on the same draws of test images.

    aps: by network and by seed, [1 + draws]; the first is the AP of every image once, the others are of draws.
    """

    def __init__(self, aps: Mapping[str, Mapping[int, Array]]) -> None:
        self._aps = aps
        length = len(next(iter(next(iter(aps.values())).values())))
        seeds = sorted({seed for by_seed in aps.values() for seed in by_seed})
        rng = np.random.default_rng(0)  # the same run gives the same page
        self._seeds = dict(zip(seeds, _counts(rng, length, len(seeds)), strict=True))
        self._networks = dict(zip(aps, _counts(rng, length, len(aps)), strict=True))

    def interval(self, plus: Sequence[str], minus: Sequence[str] = ()) -> Interval:
        """Of the mean AP of the networks `plus`, less that of `minus` where there are any.

        Of several networks the networks are drawn, not their seeds: their spread holds that of the seeds.
        """
        ours = self._side(plus)
        if not minus:
            return _interval(ours.images, ours.units, ours.units * ours.stretch, ours.count)
        theirs = self._side(minus)
        return _interval(
            ours.images - theirs.images,
            ours.units - theirs.units,
            ours.units * ours.stretch - theirs.units * theirs.stretch,
            min(ours.count, theirs.count),
        )

    def _side(self, names: Sequence[str]) -> _Side:
        if len(names) == 1:
            by_seed = self._aps[names[0]]
            values, counts = list(by_seed.values()), [self._seeds[seed] for seed in by_seed]
        else:
            values = [np.mean(list(self._aps[name].values()), axis=0) for name in names]
            counts = [self._networks[name] for name in names]
        aps, weights, n = np.array(values), np.array(counts), len(values)
        mean, total = aps.mean(axis=0), weights.sum(axis=0)
        with np.errstate(invalid="ignore"):  # none of its seeds drawn: nan, which is left out
            noise = (aps * weights).sum(axis=0) / total - mean
        return _Side(mean, noise * sqrt(n / (n - 1)) if n > 1 else np.zeros_like(mean), n)


def _counts(rng: np.random.Generator, draws: int, n: int) -> Array:
    """How often each of `n` things is drawn, [n, draws], when `n` are drawn with replacement."""
    return rng.multinomial(n, np.full(n, 1 / n), size=draws).T


def _interval(images: Array, units: Array, stretched: Array, trainings: int) -> Interval:
    """The first of `images` is the estimate, the others are draws, which the trainings' noise is added to."""
    value = float(images[0])
    known = ~np.isnan(images[1:] + units[1:])
    if known.sum() < 2:
        return Interval(value, float("nan"), float("nan"), float("nan"), trainings)
    low, high = np.quantile((images + stretched)[1:][known], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    se = float((images + units)[1:][known].std(ddof=1))
    return Interval(value, se, float(low), float(high), trainings)
