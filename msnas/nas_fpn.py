"""From the configuration to NAS-FPN's encoders and their costs.

A plan has two networks: the small one that a search trains from scratch to score it (`space.*`, section 4.2
of arXiv 1904.07392), and the one that it is retrained as (`network.*`). Torch is imported when an encoder is
asked for.
"""

from typing import Any

from omegaconf import DictConfig, OmegaConf

from supernet.cost import Cost
from supernet.nas_fpn_architecture import PyramidPlan
from supernet.nas_fpn_cost import fpn_level_cost, nas_fpn_cost


def candidate_encoder(config: DictConfig, plan: PyramidPlan) -> Any:
    """Backbone and stacks that a plan is scored with."""
    from supernet.nas_fpn_encoder import NasFpnEncoder

    space = config.space
    shape = {name: space[name] for name in ("backbone", "width", "channels", "stacks", "lite")}
    return NasFpnEncoder(plan, **shape)


def encoder(config: DictConfig, plan: PyramidPlan) -> Any:
    """Backbone and stacks that a plan is retrained with."""
    from supernet.nas_fpn_encoder import NasFpnEncoder

    options: Any = OmegaConf.to_container(config.network, resolve=True)
    return NasFpnEncoder(plan, lite=config.space.lite, **options)


def baseline_encoder(config: DictConfig) -> Any:
    """Backbone and standard FPN to compare with."""
    from supernet.nas_fpn_encoder import FpnLevelEncoder

    return FpnLevelEncoder(**_baseline(config), top_level=config.space.top_level, weights=config.baseline.pretrained)


def cost(config: DictConfig, plan: PyramidPlan, input_size: tuple[int, int]) -> Cost:
    """Exact cost of the detector that a plan is retrained as."""
    shape = {name: config.network[name] for name in ("backbone", "width", "channels", "stacks")}
    return nas_fpn_cost(
        plan, input_size=input_size, num_classes=config.space.num_classes, lite=config.space.lite, **shape
    )


def baseline_cost(config: DictConfig, input_size: tuple[int, int]) -> Cost:
    """Exact cost of the FPN detector."""
    levels = range(3, config.space.top_level + 1)
    return fpn_level_cost(levels, **_baseline(config), input_size=input_size, num_classes=config.space.num_classes)


def _baseline(config: DictConfig) -> dict[str, Any]:
    shape = {name: config.baseline[name] for name in ("backbone", "width", "channels")}
    return {**shape, "lite": config.space.lite}
