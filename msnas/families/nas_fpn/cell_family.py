"""From the configuration to NAS-FPN's detectors, their costs, and what scores a plan.

A plan has two networks: the small one that a search trains from scratch to score it (`space.*` and `proxy.*`,
section 4.2 of arXiv 1904.07392), and the one that it is retrained as (`network.*`). Torch is imported when
one is asked for.
"""

from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from msnas.families.family import Found
from msnas.seeds import derive
from supernet.cost import Cost
from supernet.nas_fpn.plan_cost import fpn_level_cost, nas_fpn_cost
from supernet.nas_fpn.pyramid_plan import PyramidPlan

_DETECTOR = (
    "anchor_scale", "anytime", "focal_alpha", "focal_gamma", "huber_delta", "box_weight", "match_iou", "unmatch_iou",
    "score_threshold", "nms_threshold", "pre_nms", "detections", "batch_norm_momentum", "batch_norm_eps",
)  # fmt: skip


FIRST = ""
SHARES_WEIGHTS = False


def divisor(config: DictConfig) -> int:
    """The coarsest level's stride."""
    return 1 << int(config.space.top_level)


def baseline_name(config: DictConfig) -> str:
    """Backbone, width and channels."""
    baseline = config.baseline
    return f"{baseline.backbone}-FPN, width {baseline.width:g}, {baseline.channels} channels"


def first(config: DictConfig, classes: Sequence[str]) -> Any:
    """There is none: a plan is scored from scratch."""
    raise AssertionError("a search is the first stage")


def parse(config: DictConfig, text: str) -> PyramidPlan:
    """A plan of the space."""
    from msnas.setup.space import plain_space

    plan: PyramidPlan = plain_space(config).parse(text)
    return plan


def candidate(config: DictConfig, plan: PyramidPlan, classes: Sequence[str]) -> Any:
    """The small detector that a plan is scored with."""
    from supernet.nas_fpn.plan_encoder import NasFpnEncoder

    shape = {name: config.space[name] for name in ("backbone", "width", "channels", "stacks", "lite")}
    return _retinanet(config, NasFpnEncoder(plan, **shape), classes, anytime=False)


def detector(config: DictConfig, plan: PyramidPlan, classes: Sequence[str]) -> Any:
    """The detector that a plan is retrained as."""
    from supernet.nas_fpn.plan_encoder import NasFpnEncoder

    options: Any = OmegaConf.to_container(config.network, resolve=True)
    return _retinanet(config, NasFpnEncoder(plan, lite=config.space.lite, **options), classes)


def baseline(config: DictConfig, classes: Sequence[str]) -> Any:
    """The FPN detector to compare with: same backbone, heads and recipe."""
    from supernet.nas_fpn.plan_encoder import FpnLevelEncoder

    weights = config.baseline.pretrained
    encoder = FpnLevelEncoder(**_baseline_shape(config), top_level=config.space.top_level, weights=weights)
    return _retinanet(config, encoder, classes, anytime=False)


def _retinanet(config: DictConfig, encoder: Any, classes: Sequence[str], **changes: Any) -> Any:
    from msnas.detectors.retinanet import RetinaNet

    options = {name: config.detector[name] for name in _DETECTOR} | changes
    sides = {name: config.data[name] for name in ("short_side", "long_side")}
    return RetinaNet(encoder, num_classes=len(classes), **sides, **options)


def cost(config: DictConfig, plan: PyramidPlan, input_size: tuple[int, int]) -> Cost:
    """Exact cost of the detector that a plan is retrained as, at its last exit."""
    shape = {name: config.network[name] for name in ("backbone", "width", "channels", "stacks")}
    return nas_fpn_cost(
        plan, input_size=input_size, num_classes=config.space.num_classes, lite=config.space.lite, **shape
    )


def baseline_cost(config: DictConfig, input_size: tuple[int, int]) -> Cost:
    """Exact cost of the FPN detector."""
    levels = range(3, config.space.top_level + 1)
    shape = _baseline_shape(config)
    return fpn_level_cost(levels, **shape, input_size=input_size, num_classes=config.space.num_classes)


def _baseline_shape(config: DictConfig) -> dict[str, Any]:
    shape = {name: config.baseline[name] for name in ("backbone", "width", "channels")}
    return {**shape, "lite": config.space.lite}


def recipe(config: DictConfig) -> Any:
    """How a plan is scored: a whole training in short, from scratch."""
    from msnas.families.nas_fpn.scratch_recipe import ScratchRecipe

    values: Any = OmegaConf.to_container(config.proxy, resolve=True)
    training = {name: config.schedule[name] for name in ("momentum", "weight_decay", "clip")}
    return ScratchRecipe(**{**values, "milestones": tuple(values["milestones"])}, **training)


def evaluator(config: DictConfig, splits: Any, *, space: Any, hardware: Any) -> Any:
    """What scores plans on `search_val`. All plans start from the same weights: their shapes are the same."""
    from msnas.engine.candidate import CandidateEvaluator
    from msnas.families.nas_fpn.scratch import FreshNetworks
    from msnas.setup.training import batches_of

    classes = splits.train.classes
    seed = derive(config.seed, "initial weights", "candidate")
    networks: Any = FreshNetworks(lambda plan: candidate(config, plan, classes), seed=seed)
    return CandidateEvaluator(
        networks,
        lambda batch, seed: batches_of(config, splits.supernet_train, batch=batch, seed=seed),
        splits.search_val,
        space=space,
        recipe=recipe(config),
        seed=derive(config.seed, "search"),
        hardware=hardware,
    )


def search(config: DictConfig, splits: Any, **where: Any) -> Found:
    """One search in one space."""
    from msnas.pipeline.space_search import search_space

    return search_space(config, splits, **where)
