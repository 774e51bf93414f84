"""An architecture drawn inside a budget beside draws until one lies in it; run by `make bench`."""

import numpy as np
from timing import Row, Target, in_turn, ratio_row
from variation import TARGETS

from msnas.families.strides.zoo_msnas import SPACES
from supernet.space import Budget
from supernet.strides.stride_space import StrideSpace


def rows(tiny: bool) -> list[Row]:
    """A hundred architectures of each published space within 1 % of its FPN's MACs; tables are built before."""
    number, rounds = (2, 1) if tiny else (100, 3)
    return [_row(name, number, rounds) for name in (list(SPACES)[:1] if tiny else SPACES)]


def _row(name: str, number: int, rounds: int) -> Row:
    space, budget, rng = StrideSpace(**SPACES[name]), Budget("macs", TARGETS[name], 0.01), np.random.default_rng(0)
    inside = space.within(budget)
    low, high = TARGETS[name] * 0.99, TARGETS[name] * 1.01

    def rejected() -> None:
        for _ in range(number):
            while not low <= space.cost(space.sample(rng)).macs <= high:
                pass

    works = {"drawn inside": lambda: [inside.sample(rng) for _ in range(number)], "rejection": rejected}
    seconds = in_turn(works, rounds)
    said = f"{number} draws in the budget of {name.upper()}"
    return ratio_row(said, seconds, "drawn inside", "rejection", Target(1.0))
