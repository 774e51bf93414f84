"""The MSNAS encoder behind a pretrained prefix: all paths in one network, or one path alone.

"Multi-scale Network Architecture Search for Object Detection", with mixed blocks that begin at a stage of a timm
backbone. `prefix` gives the backbone's features, `from_features` runs all that lies behind them: a cache of frozen
features takes the place of the first.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from supernet.errors import SpaceError
from supernet.strides.architecture import BLOCK_STRIDES, Architecture, stride_levels
from supernet.strides.blocks import BLOCKS, MixedBlock
from supernet.strides.path_network import PathNetwork, PathParts, input_widths, lateral_keys, new_parts
from supernet.strides.prefix_backbone import PrefixBackbone
from supernet.strides.prefix_start import prefix_strides
from supernet.strides.residuals import init_residuals
from supernet.strides.stride_encoder import branches_of, parts_of

BASE_STRIDE = 4


class _PrefixEncoder(PathNetwork):
    """A path network behind `backbone`. feature_strides: of the prefix's features that `from_features` reads."""

    def __init__(
        self,
        settings: dict[str, Any],
        backbone: PrefixBackbone,
        parts: PathParts,
    ) -> None:
        strides = tuple(backbone.channels)
        block, channels, init = settings["block"], settings["channels"], settings["residual_init"]
        super().__init__(block, channels, BASE_STRIDE, init, start=strides[-1], ended=strides)
        self.feature_strides = strides
        self.backbone = backbone
        self.image_mean, self.image_std = backbone.mean, backbone.std
        self._add(parts)
        self._settings = settings

    def prefix(self, images: Tensor) -> dict[int, Tensor]:
        """The prefix's features of normalised images [B, 3, H, W], [B, C_s, H / s, W / s] by stride s."""
        features: dict[int, Tensor] = self.backbone(images)
        return features

    def _encode(
        self, features: Mapping[int, Tensor], architecture: Architecture, blocks: Sequence[nn.Module]
    ) -> list[Tensor]:
        """The feature of each group; dead blocks do not run. Raises SpaceError as behind a stem."""
        cut = self.feature_strides[-1]
        batch, _, height, width = features[cut].shape
        self._check_size(batch, height * cut, width * cut, architecture)
        used = {cut, *(stage.stride for stage in self.stages(architecture) if stage.prefix)}
        return self._run(features[cut], architecture, blocks, {stride: features[stride] for stride in sorted(used)})

    def _check_path(self, architecture: Architecture) -> None:
        super()._check_path(architecture)
        finest = self._settings["finest"]
        if min(architecture.feature_strides(BASE_STRIDE, start=self._start)) < finest:
            raise SpaceError(
                f"The finest feature stride of a block here is {finest}, but {architecture} has a finer one."
            )


class PrefixPathEncoder(_PrefixEncoder):
    """One architecture behind a prefix, with new weights or around the `parts` of a trained one.

    backbone: a timm model with features, cut at stride `cut`. finest: the finest stride of a block. train_prefix:
    "frozen", "slow" or "full".
    weights: of the backbone, what `Backbone` takes; a saved model holds them. The others are those of `PathEncoder`.
    """

    def __init__(
        self,
        architecture: Architecture | str,
        *,
        backbone: str,
        cut: int,
        channels: int,
        block: str = "basic",
        finest: int = 4,
        residual_init: float = 0.0,
        train_prefix: str = "frozen",
        weights: Any = None,
        parts: tuple[PrefixBackbone, PathParts] | None = None,
    ) -> None:
        architecture = Architecture.parse(architecture) if isinstance(architecture, str) else architecture
        settings = _settings(backbone, cut, channels, block, finest, residual_init, train_prefix)
        super().__init__(settings, *(parts or _new_path(architecture, settings, weights)))
        if parts is None:
            init_residuals(self, residual_init)
        self._check_path(architecture)
        self.architecture = architecture

    def forward(self, images: Tensor) -> list[Tensor]:
        """[B, 3, H, W] to one feature [B, C, H / heads[i], W / heads[i]] a group."""
        return self.from_features(self.prefix(images))

    def from_features(self, features: Mapping[int, Tensor]) -> list[Tensor]:
        """The same, from what `prefix` gave."""
        return self._encode(features, self.architecture, list(self.blocks))

    @property
    def config(self) -> dict[str, Any]:
        """What the constructor needs to build this encoder again, as JSON."""
        return {"architecture": str(self.architecture), **self._settings}


class PrefixMixedEncoder(_PrefixEncoder):
    """Every path of a `PrefixSpace` in one network; see `MixedEncoder` and, for the arguments, `PrefixPathEncoder`."""

    def __init__(
        self,
        *,
        backbone: str,
        cut: int,
        depth: int,
        channels: int,
        block: str = "basic",
        finest: int = 4,
        residual_init: float = 0.0,
        train_prefix: str = "frozen",
        weights: Any = None,
    ) -> None:
        settings = _settings(backbone, cut, channels, block, finest, residual_init, train_prefix)
        prefix = _new_prefix(settings, weights)
        laterals = [*map(str, range(depth - 1)), *(f"s{stride}" for stride in prefix.channels)]
        levels = [stride for stride in stride_levels(BASE_STRIDE) if stride >= finest]
        parts = new_parts(block, channels, laterals, levels, prefix.channels)
        first = tuple(stride for stride in BLOCK_STRIDES if cut * stride in levels)
        parts.blocks = [
            MixedBlock(block, width, channels, BLOCK_STRIDES if index else first)
            for index, width in enumerate(input_widths(block, channels, prefix.channels[cut], depth))
        ]
        super().__init__(settings, prefix, parts)
        init_residuals(self, residual_init)
        self.depth = depth

    def forward(self, images: Tensor, architecture: Architecture) -> list[Tensor]:
        """[B, 3, H, W] to one feature a group along the path of `architecture`."""
        return self.from_features(self.prefix(images), architecture)

    def from_features(self, features: Mapping[int, Tensor], architecture: Architecture) -> list[Tensor]:
        """The same, from what `prefix` gave."""
        return self._encode(features, architecture, branches_of(self, architecture, self.depth))

    def extract(self, architecture: Architecture) -> PrefixPathEncoder:
        """One path with weights of its own behind the prefix; a frozen prefix is shared, for it never changes."""
        parts = copy.deepcopy(parts_of(self, architecture, self.depth))
        prefix = self.backbone if self.backbone.frozen else copy.deepcopy(self.backbone)
        path = PrefixPathEncoder(architecture, **self._settings, parts=(prefix, parts))
        return path.train(self.training)

    @property
    def config(self) -> dict[str, Any]:
        """What the constructor needs to build this encoder again, as JSON."""
        return {"depth": self.depth, **self._settings}


def _settings(
    backbone: str,
    cut: int,
    channels: int,
    block: str,
    finest: int,
    residual_init: float,
    train_prefix: str,
) -> dict[str, Any]:
    return {
        "backbone": backbone,
        "cut": cut,
        "channels": channels,
        "block": block,
        "finest": finest,
        "residual_init": residual_init,
        "train_prefix": train_prefix,
    }


def _new_prefix(settings: dict[str, Any], weights: Any) -> PrefixBackbone:
    strides = prefix_strides(settings["cut"], settings["finest"])
    return PrefixBackbone(settings["backbone"], strides, train=settings["train_prefix"], weights=weights)


def _new_path(architecture: Architecture, settings: dict[str, Any], weights: Any) -> tuple[PrefixBackbone, PathParts]:
    """Prefix and the parts of a path without its dead blocks, with fresh weights."""
    block, channels, cut = settings["block"], settings["channels"], settings["cut"]
    prefix = _new_prefix(settings, weights)
    live = architecture.live(BASE_STRIDE, start=cut)
    stages = live.stages(BASE_STRIDE, start=cut, ended=tuple(prefix.channels))
    parts = new_parts(block, channels, lateral_keys(stages), sorted(set(live.heads)), prefix.channels)
    widths = input_widths(block, channels, prefix.channels[cut], len(live.strides))
    parts.blocks = [BLOCKS[block](width, channels, stride) for width, stride in zip(widths, live.strides, strict=True)]
    return prefix, parts
