"""Any timm network as a backbone: the features C3, C4, C5 (or others) of images, and what it costs."""

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import timm
import torch
from torch import Tensor, nn

from supernet.backbone_weights import load_weights
from supernet.cost import Cost, resnet_channels
from supernet.errors import SpaceError
from supernet.mac_counter import count_macs, count_params
from supernet.weight_sources import NONE

# Networks that timm can build but does not list: a name of ours, timm's name, and what differs.
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "resnet10": ("resnet18", {"layers": (1, 1, 1, 1)}),  # NAS-FPN's proxy: basic blocks, widths 64..512
}


class Backbone(nn.Module):
    """A timm `features_only` network read at pyramid levels, level l having stride 2**l.

    name: a timm model with features, such as resnet50 (v1.5) or mobilenetv2_100, or one of `VARIANTS`. width:
    of the stages beside the published ones; ResNets only. weights: None or "none" (random), "timm" (downloaded),
    "package" (of an installed package) or a file, see `load_weights`; called: the option that names them, in
    messages. Stages behind the last level are not built.

    channels: of each level's feature. mean, std: of RGB in 0..1, how timm's weights of this network want images.
    began_with: the weights, as they were asked for.
    """

    def __init__(
        self,
        name: str,
        levels: Sequence[int] = (3, 4, 5),
        *,
        width: float = 1.0,
        weights: str | None = None,
        called: str = "backbone.weights",
    ) -> None:
        super().__init__()
        timm_name, options = _timm_options(name, width)
        reductions = _reductions(name, width)
        if missing := [level for level in levels if 2**level not in reductions]:
            raise SpaceError(f"Backbone {name} has features of strides {reductions}, but {2 ** missing[0]} is needed.")
        indices = tuple(reductions.index(2**level) for level in levels)
        self.body = timm.create_model(timm_name, features_only=True, out_indices=indices, **options)
        _drop_stages_behind(self.body)
        info: Any = self.body.feature_info
        self.channels: list[int] = info.channels()
        pretrained: Any = self.body.pretrained_cfg  # timm's, whether or not its weights are taken
        self.mean: tuple[float, ...] = tuple(pretrained["mean"])
        self.std: tuple[float, ...] = tuple(pretrained["std"])
        load_weights(self.body, weights, timm_name, options, called=called)
        self.began_with = str(weights or NONE)

    def forward(self, images: Tensor) -> list[Tensor]:
        """images: [B, 3, H, W], normalised. Returns one [B, C_l, H / 2**l, W / 2**l] for each level l."""
        features: list[Tensor] = self.body(images)
        return features


@lru_cache
def _reductions(name: str, width: float) -> list[int]:
    """The strides of all features that the network has."""
    timm_name, options = _timm_options(name, width)
    with torch.device("meta"):
        probe: Any = timm.create_model(timm_name, features_only=True, **options)
    reductions: list[int] = probe.feature_info.reduction()
    return reductions


def _timm_options(name: str, width: float) -> tuple[str, dict[str, Any]]:
    """timm's name of the network and the arguments that make it `width` times as wide."""
    timm_name, options = VARIANTS.get(name, (name, {}))
    if timm_name not in (known := timm.list_models()):
        close = difflib.get_close_matches(name, [*known, *VARIANTS], n=3)
        hint = f"near names: {', '.join(close)}" if close else "timm.list_models() has their names"
        raise SpaceError(f"A backbone is a timm model or one of {', '.join(VARIANTS)}, but got {name!r}; {hint}.")
    if width == 1:
        return timm_name, options
    if not timm_name.startswith("resnet"):
        raise SpaceError(f"Only ResNets can have another width than 1, but got {name} with {width=}.")
    return timm_name, {**options, "channels": resnet_channels(width)}


def _drop_stages_behind(body: Any) -> None:
    """Cut what comes after the last feature off timm's EfficientNets and MobileNets; it cuts the others itself."""
    if hasattr(body, "_stage_out_idx") and hasattr(body, "blocks"):
        body.blocks = body.blocks[: max(body._stage_out_idx)]


@lru_cache
def backbone_cost(
    name: str, levels: tuple[int, ...], input_size: tuple[int, int], width: float = 1.0
) -> tuple[Cost, tuple[int, ...]]:
    """The backbone's cost at `input_size` (height, width), counted on the meta device, and its channels.

    Raises SpaceError for one that does not take this size, as networks of attention in windows may not.
    """
    with torch.device("meta"):
        backbone = Backbone(name, levels, width=width).eval()
        with refusing_size(name, input_size):
            macs = count_macs(backbone, torch.empty(1, 3, *input_size))
    return Cost(macs, count_params(backbone)), tuple(backbone.channels)


@contextmanager
def refusing_size(name: str, input_size: tuple[int, int]) -> Iterator[None]:
    """A block that runs the backbone; a SpaceError where timm's network does not take the size (height, width)."""
    try:
        yield
    except AssertionError as error:
        size = "x".join(map(str, input_size))
        rule = f"A backbone must take images of the size that costs are counted at, {size}"
        raise SpaceError(f"{rule}, but {name} does not: {error} Choose another, or images that fit it.") from error
