"""Networks with fresh weights, which depend on the run's seed and the network's name alone."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from msnas.families.family import Family
from msnas.seeds import derive


def pretraining_network(family: Family, classes: Sequence[str], *, seed: int) -> nn.Module:
    """The detector that `msnas train` trains; a supernet has `forward(images, targets, architecture)`."""
    with initial_weights(seed, str(family.pretraining)):
        return family.pretraining_detector(classes)


def network(family: Family, architecture: Any, classes: Sequence[str], *, seed: int) -> nn.Module:
    """The detector of one architecture."""
    with initial_weights(seed, str(architecture)):
        return family.detector_of(architecture, classes)


def fpn_baseline(family: Family, classes: Sequence[str], *, seed: int, variant: Any = None) -> nn.Module:
    """The FPN detector under the same heads, or a variant of it."""
    with initial_weights(seed, "fpn"):
        return family.baseline_detector(classes, variant)


@contextmanager
def initial_weights(seed: int, name: str) -> Iterator[None]:
    """A block in which torch draws what (seed, name) decide; afterwards its generator is where it was."""
    state = torch.get_rng_state()
    torch.manual_seed(derive(seed, "initial weights", name))
    try:
        yield
    finally:
        torch.set_rng_state(state)
