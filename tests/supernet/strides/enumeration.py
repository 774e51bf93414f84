"""Small spaces enumerated without any table, and a generator that hands out every number in turn."""

from functools import cache
from itertools import product

import numpy as np

from supernet.errors import SpaceError
from supernet.strides.prefix_space import PrefixSpace
from supernet.strides.stride_space import StrideSpace


@cache
def small_space(**settings):
    return StrideSpace(**{"block": "basic", "depth": 5, "channels": 8, "input_size": (64, 128), **settings})


@cache
def small_prefix(**settings):
    shape = {"backbone": "resnet18", "cut": 16, "depth": 5, "channels": 8, "input_size": (64, 128)}
    return PrefixSpace(**{**shape, **settings})


def orders(size):
    """Every genome of the heads whose strides do not decrease; all others are invalid in every space."""
    return [heads for heads in product(range(5), repeat=size) if list(heads) == sorted(heads)]


@cache
def valid_genomes(space):
    """All genomes of `space`, whatever its budget, that its rules in words let through, sorted."""
    found = []
    for path in product(range(3), repeat=space.depth):
        try:
            space.decode((*path, 0, 0, 0, 0, 0)).feature_strides(space.base_stride, start=space.start.stride)
        except SpaceError:
            continue
        for heads in orders(5):
            genome = (*path, *heads)
            try:
                space.validate(space.decode(genome))
            except SpaceError:
                continue
            found.append(genome)
    return found


class Numbered:
    """Stands for a generator: its one draw is `number` of the `size` numbers that were asked for."""

    def __init__(self, number=0):
        self.number, self.size = number, 0

    def integers(self, size):
        self.size = size
        return self.number


def every_draw(draw):
    """All results of a function that makes exactly one uniform draw; [] where it gives None."""
    rng = Numbered()
    if draw(rng) is None:
        return []
    return [draw(Numbered(number)) for number in range(rng.size)]


def assert_uniform(draws, population):
    """Chi-square against equal probabilities, five standard deviations wide."""
    index = {genome: number for number, genome in enumerate(population)}
    observed = np.bincount([index[genome] for genome in draws], minlength=len(population))
    expected = len(draws) / len(population)
    chi_square, freedom = ((observed - expected) ** 2 / expected).sum(), len(population) - 1
    assert abs(chi_square - freedom) < 5 * np.sqrt(2 * freedom)
