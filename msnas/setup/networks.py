"""From the configuration to detectors: the supernet, one architecture alone, and the two baselines.

All of them share heads, anchors and recipe; they differ in the encoder only.
"""

from collections.abc import Sequence
from typing import Any

import torch
from omegaconf import DictConfig
from torch import nn

from msnas.families.family import family_of
from msnas.seeds import derive


def first(config: DictConfig, classes: Sequence[str]) -> nn.Module:
    """The detector that `msnas train` trains; a supernet has `forward(images, targets, architecture)`."""
    family = family_of(config)
    with _initialised(config, family.FIRST):
        detector: nn.Module = family.first(config, classes)
        return detector


def network(config: DictConfig, architecture: Any, classes: Sequence[str]) -> nn.Module:
    """The detector of one architecture, fresh."""
    with _initialised(config, str(architecture)):
        detector: nn.Module = family_of(config).detector(config, architecture, classes)
        return detector


def fpn_baseline(config: DictConfig, classes: Sequence[str]) -> nn.Module:
    """The FPN detector under the same heads."""
    with _initialised(config, "fpn"):
        detector: nn.Module = family_of(config).baseline(config, classes)
        return detector


class _initialised:  # noqa: N801  # read as a word: `with _initialised(config, name)`
    """A block whose initial weights depend on the run's seed and the network's name alone."""

    def __init__(self, config: DictConfig, name: str) -> None:
        self._seed = derive(config.seed, "initial weights", name)

    def __enter__(self) -> None:
        self._state = torch.get_rng_state()
        torch.manual_seed(self._seed)

    def __exit__(self, *_: Any) -> None:
        torch.set_rng_state(self._state)
