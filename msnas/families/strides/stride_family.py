"""From the configuration to MSNAS's detectors, their costs, and how a candidate is scored."""

from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig

from msnas.config.compose import build
from msnas.families.family import Found
from supernet.cost import Cost, first_stage_cost, fpn_cost, scale_fpn
from supernet.strides.architecture import Architecture

FIRST = "supernet"
SHARES_WEIGHTS = True


def divisor(config: DictConfig) -> int:
    """The coarsest feature stride of the space."""
    return 16 * int(config.space.base_stride)


def cost(config: DictConfig, architecture: Architecture, input_size: tuple[int, int]) -> Cost:
    """First-stage cost of a path."""
    space = config.space
    shape = {"block": space.block, "channels": space.channels, "base_stride": space.base_stride}
    return first_stage_cost(architecture, **shape, input_size=input_size)


def baseline_shape(config: DictConfig, input_size: tuple[int, int]) -> tuple[float, int]:
    """(width, channels) of the FPN baseline: as set, or scaled to a budget that is a number of MACs."""
    baseline, macs = config.baseline, config.budget.macs
    if not baseline.scaled or not isinstance(macs, int | float):
        return float(baseline.width), int(baseline.channels)
    size = {"base_stride": config.space.base_stride, "input_size": input_size}
    return scale_fpn(baseline.backbone, macs=round(macs), **size)


def baseline_cost(config: DictConfig, input_size: tuple[int, int]) -> Cost:
    """First-stage cost of the FPN baseline."""
    width, channels = baseline_shape(config, input_size)
    shape = {"width": width, "channels": channels, "base_stride": config.space.base_stride}
    return fpn_cost(config.baseline.backbone, **shape, input_size=input_size)


def baseline_name(config: DictConfig) -> str:
    """Backbone, width and channels."""
    from msnas.setup.space import input_size

    width, channels = baseline_shape(config, input_size(config))
    return f"{config.baseline.backbone}-FPN, width {width:g}, {channels} channels"


def first(config: DictConfig, classes: Sequence[str]) -> Any:
    """The weight-sharing detector; `forward(images, targets, architecture)`."""
    from supernet.strides.stride_encoder import MixedEncoder

    space = config.space
    shape = {"block": space.block, "depth": space.depth, "channels": space.channels}
    return _detector(config, MixedEncoder(**shape, base_stride=space.base_stride), classes)


def parse(config: DictConfig, text: str) -> Architecture:
    """A path of the space."""
    from msnas.setup.space import plain_space

    architecture: Architecture = plain_space(config).parse(text)
    return architecture


def detector(config: DictConfig, architecture: Architecture, classes: Sequence[str]) -> Any:
    """The detector of one path."""
    from supernet.strides.stride_encoder import PathEncoder

    space = config.space
    encoder = PathEncoder(architecture, block=space.block, channels=space.channels, base_stride=space.base_stride)
    return _detector(config, encoder, classes)


def baseline(config: DictConfig, classes: Sequence[str]) -> Any:
    """The FPN detector: a ResNet of timm, scaled to the budget, under the same heads."""
    from msnas.setup.space import input_size
    from supernet.strides.fpn_encoder import FpnEncoder

    width, channels = baseline_shape(config, input_size(config))
    shape = {"width": width, "channels": channels, "base_stride": config.space.base_stride}
    encoder = FpnEncoder(config.baseline.backbone, **shape, pretrained=config.baseline.pretrained)
    return _detector(config, encoder, classes)


def _detector(config: DictConfig, encoder: Any, classes: Sequence[str]) -> Any:
    sides = {"short_side": config.data.short_side, "long_side": config.data.long_side}
    return build(config.detector, encoder=encoder, num_classes=len(classes), **sides)


def recipe(config: DictConfig) -> Any:
    """How every candidate is scored."""
    from msnas.engine.recipe import Recipe

    candidate = config.candidate
    return Recipe(
        kind=candidate.recipe,
        iterations=candidate.iterations if candidate.finetune else 0,
        batch=candidate.batch,
        optimizer=candidate.optimizer,
        lr=candidate.lr,
        bn_images=candidate.bn_images,
        bn_batch=candidate.bn_batch,
        metric=candidate.metric,
        momentum=config.schedule.momentum,
        weight_decay=config.schedule.weight_decay,
        clip=config.schedule.clip,
    )


def search(config: DictConfig, splits: Any, **where: Any) -> Found:
    """One search in one space."""
    from msnas.pipeline.space_search import search_space

    return search_space(config, splits, **where)
