"""What every search space offers, and a compute budget as exact integer bounds."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import ceil, floor, isfinite
from typing import Any, Protocol

import numpy as np

from supernet.cost import Cost
from supernet.errors import SpaceError

Genome = tuple[int, ...]
METRICS = ("macs", "params", "latency_us")
MODES = ("target", "ceiling")


class SearchSpace(Protocol):
    """A set of networks written as genomes: all that the stages ask of a space.

    With a budget bound in (`within`) the same methods know only the networks that fit. Every random draw
    comes from the generator that is handed in. A space may offer `neighbour` too, for evolution, and `walk`, another
    draw than `sample`, for `train.sampling=walk`.
    """

    @property
    def input_size(self) -> tuple[int, int]:
        """(height, width) in pixels that costs are counted at."""

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """How many values each gene has."""

    @property
    def sections(self) -> Mapping[str, slice]:
        """The parts of a genome that are varied one at a time, by name."""

    @property
    def counted(self) -> str:
        """How `count()` came about, in a word or two: "exactly", or how it was estimated."""

    def encode(self, architecture: Any, /) -> Genome:
        """The genome of `architecture`."""

    def decode(self, genome: Sequence[int], /) -> Hashable:
        """The architecture of `genome`. Raises SpaceError where the genes name none."""

    def parse(self, text: str, /) -> Hashable:
        """The architecture written as `text`, the inverse of `str`. Raises SpaceError where it is none of these."""

    def is_valid(self, genome: Sequence[int], /) -> bool:
        """Whether `genome` is a network of this space."""

    def sample(self, rng: np.random.Generator, /) -> Genome:
        """A valid genome, each with the same probability."""

    def allowed(self, prefix: Sequence[int], /) -> tuple[int, ...]:
        """The values of the next gene that can still lead to a valid genome; () where there is none."""

    def cost(self, genome: Sequence[int], /) -> Cost:
        """Exact cost of a valid genome."""

    def cost_range(self) -> tuple[int, int]:
        """MACs of the cheapest and of the dearest network, inside a budget or not."""

    def count(self) -> int | None:
        """How many networks there are; None where nothing counts them."""

    def sizes(self) -> Mapping[str, int | None]:
        """How large the space is without a budget, in the words of `msnas space`."""

    def within(self, budget: "Budget", /) -> "SearchSpace":
        """The same space inside `budget`. Raises SpaceError that names the nearest costs where nothing is inside."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Bounds on a cost: `target` times 1 +- `tolerance`, or at most `target` where mode is "ceiling".

    `low` and `high` are exact integers, both inclusive; decimal numbers mean what they say (0.01 is 1/100). A
    ceiling has no use for the tolerance. also: budgets on other metrics that must be kept as well. Raises SpaceError.
    """

    metric: str
    target: float
    tolerance: float = 0.01
    mode: str = "target"
    also: tuple["Budget", ...] = ()

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise SpaceError(f"A budget's metric must be one of {', '.join(METRICS)}, but got {self.metric!r}.")
        if self.mode not in MODES:
            raise SpaceError(f"A budget's mode must be one of {', '.join(MODES)}, but got {self.mode!r}.")
        if not _is_number(self.target) or self.target <= 0:
            raise SpaceError(f"A budget's target must be a positive number, but got {self.target!r}.")
        if not _is_number(self.tolerance) or not 0 <= self.tolerance < 1:
            raise SpaceError(f"0 <= tolerance < 1 must hold for a budget, but got {self.tolerance!r}.")
        metrics = [self.metric, *(other.metric for other in self.also)]
        if len(set(metrics)) < len(metrics):
            raise SpaceError(f"Budgets that are kept together have different metrics, but got {', '.join(metrics)}.")

    def __str__(self) -> str:
        bounds = f"{self.metric} in {self.low:,}..{self.high:,}"
        return " and ".join([bounds, *map(str, self.also)])

    @property
    def low(self) -> int:
        """The smallest cost inside."""
        return _bounds(self.target, self.tolerance, self.mode)[0]

    @property
    def high(self) -> int:
        """The largest cost inside."""
        return _bounds(self.target, self.tolerance, self.mode)[1]

    def holds(self, cost: Cost) -> bool:
        """Whether `cost` is inside, by every metric."""
        value: int = getattr(cost, self.metric)
        return self.low <= value <= self.high and all(other.holds(cost) for other in self.also)

    def nearer(self, best: int | None, cost: Cost) -> int:
        """Of `cost`'s own value and the `best` seen before, if any, the one that lies nearer the target."""
        value: int = getattr(cost, self.metric)
        return value if best is None else min(best, value, key=lambda one: abs(one - self.target))


@cache  # a draw by rejection asks thousands of times
def _bounds(target: float, tolerance: float, mode: str) -> tuple[int, int]:
    exact, share = _exact(target), _exact(tolerance)
    return (0, floor(exact)) if mode == "ceiling" else (ceil(exact * (1 - share)), floor(exact * (1 + share)))


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return False
    return isinstance(value, int) or isfinite(value)


def _exact(number: float) -> Fraction:
    """The decimal number as it is written: 0.01 is 1/100, not its nearest double."""
    return Fraction(int(number)) if isinstance(number, int | np.integer) else Fraction(repr(float(number)))
