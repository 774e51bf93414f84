"""The pretrained stages that a path begins behind: a timm backbone without what lies behind the last feature read."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Self

import torch
from torch import Tensor, nn

from supernet.backbone import Backbone, refusing_size
from supernet.cost import Cost
from supernet.errors import SpaceError
from supernet.mac_counter import count_macs, count_params

TRAIN = ("frozen", "slow", "full")


class PrefixBackbone(nn.Module):
    """The features of a timm network at `strides`, finest first; stages behind the last of them are not there.

    train: "frozen": weights and norms stay as they are, in evaluation mode always; "slow" or "full": trained, the
    optimizer decides how fast. weights: what `Backbone` takes. channels: of each feature, by stride.
    """

    def __init__(self, name: str, strides: Sequence[int], *, train: str = "frozen", weights: Any = None) -> None:
        super().__init__()
        if train not in TRAIN:
            raise SpaceError(f"A prefix is trained {', '.join(TRAIN)}, but got {train!r}.")
        self.backbone = Backbone(name, [stride.bit_length() - 1 for stride in strides], weights=weights)
        _cut(self.backbone.body)
        self.channels = dict(zip(strides, self.backbone.channels, strict=True))
        self.mean, self.std = self.backbone.mean, self.backbone.std
        self.learns_slowly = train == "slow"
        self.frozen = train == "frozen"
        if self.frozen:
            self.requires_grad_(False).eval()

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        """Normalised images [B, 3, H, W] to [B, C_s, H / s, W / s] for each stride s."""
        return dict(zip(self.channels, self.backbone(images), strict=True))

    def train(self, mode: bool = True) -> Self:
        """Training mode, but for a frozen prefix."""
        return super().train(mode and not self.frozen)


def _cut(body: Any) -> None:
    """Drop the stages behind the last feature; timm does so itself but for the families of EfficientNet."""
    if hasattr(body, "_stage_out_idx"):
        body.blocks = body.blocks[: max(body._stage_out_idx)]


@lru_cache(maxsize=64)
def prefix_cost(name: str, strides: tuple[int, ...], input_size: tuple[int, int]) -> tuple[Cost, tuple[int, ...]]:
    """Cost of a prefix at `input_size` (height, width), counted on the meta device, and its features' channels.

    Raises SpaceError where the backbone does not take this size, or its features are no maps [B, C, H / s, W / s].
    """
    with torch.device("meta"):
        prefix, images = PrefixBackbone(name, strides), torch.empty(1, 3, *input_size)
        with refusing_size(name, input_size):
            shapes = [tuple(feature.shape[1:]) for feature in prefix(images).values()]
        macs = count_macs(prefix, images)
    channels = tuple(prefix.channels.values())
    expected = [(c, input_size[0] // s, input_size[1] // s) for c, s in zip(channels, strides, strict=True)]
    if shapes != expected:
        raise SpaceError(f"Backbone {name} must have features [C, H, W] of {expected}, but got {shapes}; take another.")
    return Cost(macs, count_params(prefix)), channels
