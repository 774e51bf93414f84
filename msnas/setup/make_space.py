"""From the configuration to the search space, its input size and its budget. Torch-free: `msnas cost` lives on it."""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, cast

from omegaconf import DictConfig

from msnas.config.blueprint import Blueprint
from msnas.config.compose import plain
from msnas.data.check.object_sizes import Fit
from msnas.data.geometry import typical_input
from msnas.data.settings import DataSettings
from msnas.data.source import image_sizes
from msnas.errors import ConfigError
from msnas.setup.families import family_class
from msnas.setup.latency_table import latency_of, wants_latency
from supernet.cost import Cost
from supernet.space import Budget, SearchSpace

BUDGETS = ("macs", "params", "latency_ms")


def make_space(config: DictConfig, size: tuple[int, int]) -> SearchSpace:
    """The search space of the configuration at an input size, without a budget."""
    space = Blueprint.of(plain(config.space))
    known = family_class(str(config.family)).options_by_data(space, size, partial(_data, config), make_fit(config))
    changes: dict[str, Any] = {"input_size": size, **known}
    if wants_latency(config):
        changes["latency"] = latency_of(config, size)
    return cast(SearchSpace, space(**changes))


def make_fit(config: DictConfig) -> Fit:
    """The settings that decide which head and which anchors a box gets."""
    scales = {key: config.detector.get(key) for key in ("anchor_scale", "base_scale")}
    return Fit.of(config.data.short_side, config.space.get("base_stride", 4), **scales)


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
    data = _data(config)
    return typical_input(
        image_sizes(data), data.short_side, data.long_side, family_class(config.family).divisor(config.space)
    )


def _data(config: DictConfig) -> DataSettings:
    return DataSettings.from_mapping(plain(config.data))
