"""The architecture that the supernet is trained on in each step."""

from types import SimpleNamespace

import numpy as np
import pytest

from msnas.config.compose import compose
from msnas.errors import ConfigError
from msnas.pipeline.supernet_training import paths
from msnas.setup.setup import Setup


class Numbers:
    """A space with the contract's draw and no other."""

    def sample(self, rng: np.random.Generator, /) -> tuple[int, ...]:
        return (int(rng.integers(1000)),)

    def decode(self, genome, /):
        return genome[0]


def path_of_step(sampling):
    train = SimpleNamespace(paths="all", sampling=sampling)
    return paths(SimpleNamespace(seed=0, space=Numbers(), train=train))


def test_a_space_needs_no_other_draw_than_the_contracts():
    draw = path_of_step("uniform")
    assert len({draw(step) for step in range(9)}) > 1


def test_a_walk_is_refused_where_the_space_has_none():
    with pytest.raises(ConfigError, match="Numbers, which has no `walk`"):
        path_of_step("walk")


def test_paths_of_msnas_can_be_walked():
    drawn = [paths(Setup(compose(["input=128x128", f"train.sampling={how}"]))) for how in ("uniform", "walk")]
    assert drawn[0](0) != drawn[1](0)


def test_another_kind_of_sampling_is_refused():
    with pytest.raises(ConfigError, match="one of uniform, walk, but got 'greedy'"):
        paths(Setup(compose(["input=128x128", "train.sampling=greedy"])))
