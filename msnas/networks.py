"""From the configuration to detectors: the supernet, one architecture alone, and the two baselines.

All of them share heads, anchors and recipe; they differ in the encoder only.
"""

from collections.abc import Sequence
from typing import Any

import torch
from omegaconf import DictConfig
from torch import nn

from msnas.config import build
from msnas.seeds import derive
from msnas.spaces import baseline_shape
from supernet.architecture import Architecture
from supernet.fpn import FpnEncoder
from supernet.stride_encoder import MixedEncoder, PathEncoder


def supernet(config: DictConfig, classes: Sequence[str]) -> nn.Module:
    """The weight-sharing detector; `forward(images, targets, architecture)`."""
    with _initialised(config, "supernet"):
        space = config.space
        shape = {"block": space.block, "depth": space.depth, "channels": space.channels}
        return _detector(config, MixedEncoder(**shape, base_stride=space.base_stride), classes)


def network(config: DictConfig, architecture: Architecture, classes: Sequence[str]) -> nn.Module:
    """The detector of one architecture, fresh."""
    with _initialised(config, str(architecture)):
        space = config.space
        encoder = PathEncoder(architecture, block=space.block, channels=space.channels, base_stride=space.base_stride)
        return _detector(config, encoder, classes)


def fpn_baseline(config: DictConfig, classes: Sequence[str]) -> nn.Module:
    """The FPN detector: a ResNet of timm, scaled to the budget, under the same heads."""
    with _initialised(config, "fpn"):
        baseline, (width, channels) = config.baseline, baseline_shape(config)
        encoder = FpnEncoder(
            baseline.backbone,
            channels=channels,
            width=width,
            base_stride=config.space.base_stride,
            pretrained=baseline.pretrained,
        )
        return _detector(config, encoder, classes)


def _detector(config: DictConfig, encoder: nn.Module, classes: Sequence[str]) -> nn.Module:
    detector: nn.Module = build(
        config.detector,
        encoder=encoder,
        num_classes=len(classes),
        short_side=config.data.short_side,
        long_side=config.data.long_side,
    )
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
