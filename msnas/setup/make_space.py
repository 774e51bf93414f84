"""From the configuration to the search space, its input size and its budget. Torch-free: `msnas cost` lives on it."""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import combinations_with_replacement
from typing import Any, cast

import numpy as np
from omegaconf import DictConfig, OmegaConf

from msnas.config.blueprint import Blueprint
from msnas.data.check.object_sizes import collect_boxes
from msnas.data.geometry import GROUPS, anchor_hits, typical_input
from msnas.data.settings import DataSettings
from msnas.data.source import image_sizes, read_part
from msnas.errors import ConfigError
from msnas.setup.families import family_class
from msnas.setup.fitting import configured_fit
from msnas.setup.latency_table import latency_of, wants_latency
from supernet.cost import Cost
from supernet.errors import SpaceError
from supernet.space import Budget, SearchSpace
from supernet.strides.architecture import stride_levels

RECALL = "recall"  # of `space.heads`: chosen by the training boxes
ALIKE = 0.01  # recalls that differ by less are told apart by how many networks a choice leaves
BUDGETS = ("macs", "params", "latency_ms")


def make_space(config: DictConfig, size: tuple[int, int]) -> SearchSpace:
    """The search space of the configuration at an input size, without a budget."""
    changes: dict[str, Any] = {"input_size": size}
    if config.space.get("heads") == RECALL:
        changes["heads"] = heads_by_recall(config, size)
    if wants_latency(config):
        changes["latency"] = latency_of(config, size)
    return cast(SearchSpace, Blueprint.of(_plain(config.space))(**changes))


def heads_by_recall(config: DictConfig, size: tuple[int, int]) -> list[int]:
    """The heads whose anchors reach the training boxes: of those within ALIKE of the best, the ones of most networks.

    An anchor reaches a box from IoU 0.5 on. Only choices that some network of the space can have count.
    """
    data = DataSettings.from_mapping(_plain(config.data))
    boxes = collect_boxes(read_part(data, "train")[0].images, data.short_side, data.long_side).sample()
    scale = configured_fit(config).anchor_scale
    strides = stride_levels(config.space.get("base_stride", 4))
    hits = anchor_hits(boxes.xyxy, boxes.grids, strides, scale)  # [group, stride, box]
    space = Blueprint.of(_plain(config.space))
    found: list[tuple[float, int, list[int]]] = []  # recall, networks, heads
    for heads in map(list, combinations_with_replacement(strides, GROUPS)):
        with suppress(SpaceError):  # a choice that breaks a rule of the space
            networks = space(input_size=size, heads=heads).count()
            reached = [hits[group, strides.index(stride)] for group, stride in enumerate(heads)]
            found.append((float(np.logical_or.reduce(reached).mean()), networks, heads))
    best = max(recall for recall, _, _ in found)
    return max((networks, recall, heads) for recall, networks, heads in found if recall >= best - ALIKE)[2]


def make_budget(config: DictConfig, baseline_cost: Callable[[], Cost]) -> Budget | None:
    """The budget on `macs`, `params` and `latency_ms` that are not null; the first of them is counted exactly.

    Each is a number, or `baseline` (what the FPN baseline costs at this input; not its latency); behind `<=` a ceiling.
    """
    budgets = [_budget(config, metric, baseline_cost) for metric in BUDGETS if config.budget[metric] is not None]
    return replace(budgets[0], also=tuple(budgets[1:])) if budgets else None


def _budget(config: DictConfig, metric: str, baseline_cost: Callable[[], Cost]) -> Budget:
    target, mode = config.budget[metric], config.budget.mode
    if isinstance(target, str) and target.lstrip().startswith("<="):
        target, mode = target.replace("<=", "", 1).strip(), "ceiling"
    if target == "baseline" and metric != "latency_ms":
        target = getattr(baseline_cost(), metric)
    try:
        number = float(target) if isinstance(target, str) else target
    except ValueError:
        raise ConfigError(f"budget.{metric} must be a number, `baseline` or <=NUMBER, but got {target!r}.") from None
    if metric == "latency_ms":
        metric, number = "latency_us", round(number * 1000, 3)
    return Budget(metric, number, tolerance=config.budget.tolerance, mode=mode)


def input_size(config: DictConfig) -> tuple[int, int]:
    """(height, width) that costs are counted at: `input=HxW`, or what most training images are padded to."""
    text = str(config.input)
    if text == "auto":
        return _padded_size_of_most_images(config)
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match:
        raise ConfigError(f"input must be HxW such as 832x1280, or auto, but got {text!r}.")
    return int(match[1]), int(match[2])


def _padded_size_of_most_images(config: DictConfig) -> tuple[int, int]:
    """The commonest size of training images after resizing and padding."""
    data = DataSettings.from_mapping(_plain(config.data))
    return typical_input(
        image_sizes(data), data.short_side, data.long_side, family_class(config.family).divisor(config.space)
    )


def _plain(node: DictConfig) -> dict[str, Any]:
    content = OmegaConf.to_container(node, resolve=True)
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}
