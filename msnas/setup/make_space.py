"""From the configuration to the search space, its input size and its budget. Torch-free: `msnas cost` lives on it."""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import inf
from typing import Any, cast

from omegaconf import DictConfig

from msnas.config.blueprint import Blueprint
from msnas.config.compose import plain
from msnas.data.geometry import typical_input
from msnas.data.settings import DataSettings
from msnas.data.source import image_sizes
from msnas.errors import ConfigError
from msnas.setup.box_choices import EMPTY, fit_of, tied_heads, training_boxes
from msnas.setup.latency_table import latency_of, wants_latency
from msnas.setup.make_family import family_class
from supernet.cost import Cost
from supernet.space import Budget, SearchSpace

BASELINE = "baseline"  # of a budget: what the FPN baseline costs
BUDGETS = ("macs", "params", "latency_ms")


def make_space(config: DictConfig, size: tuple[int, int], *, timed: bool = True) -> SearchSpace:
    """The search space of the configuration at an input size, without a budget.

    timed: with measured latencies, where the budget or an objective is on them.
    """
    space = Blueprint.of(plain(config.space))
    changes: dict[str, Any] = {"input_size": size}
    if config.space.get("tied") == EMPTY:
        changes["tied"] = tied_heads(config)
    family, boxes, fit = family_class(str(config.family)), partial(training_boxes, config), partial(fit_of, config)
    changes |= family.options_by_boxes(space, changes, boxes, fit)
    if timed and wants_latency(config):
        changes["latency"] = latency_of(config, size)
    return cast(SearchSpace, space(**changes))


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
    if target == BASELINE and metric != "latency_ms":
        target = getattr(baseline_cost(), metric)
    try:
        number = float(target) if isinstance(target, str) else target
    except ValueError:
        raise ConfigError(f"budget.{metric} must be a number, `baseline` or <=NUMBER, but got {target!r}.") from None
    if metric == "latency_ms":
        metric, number = "latency_us", round(number * 1000, 3)
    return Budget(metric, number, tolerance=config.budget.tolerance, mode=mode)


def exported_ceiling(config: DictConfig) -> float | None:
    """`budget.exported_ms`, a ceiling in milliseconds, `<=NUMBER`; None where there is none. Raises ConfigError."""
    asked = config.budget.get("exported_ms")
    if asked is None:
        return None
    text = str(asked).strip()
    try:
        limit = float(text.removeprefix("<="))
    except ValueError:
        limit = 0.0
    if not text.startswith("<=") or not 0 < limit < inf:
        raise ConfigError(f"budget.exported_ms is a ceiling, <=NUMBER in milliseconds, but got {asked!r}.")
    return limit


def budget_advice(config: DictConfig, budget: Budget, baseline_name: Callable[[], str]) -> str:
    """What to do where no architecture keeps the budget, and where its target comes from if no number was given."""
    named = {metric: str(config.budget[metric]) for metric in BUDGETS if config.budget[metric] is not None}
    by_baseline = [f"budget.{metric}" for metric, target in named.items() if target.endswith(BASELINE)]
    choices = [f"budget.{metric}=NUMBER" for metric in named]
    if budget.mode == "target":
        choices.append(f"a budget.tolerance above {config.budget.tolerance}")
    advice = f"give {', '.join(choices)}, or budget=none."
    if not by_baseline:
        return f"G{advice[1:]}"
    return f"The target of {' and '.join(by_baseline)} is what the FPN baseline costs ({baseline_name()}): {advice}"


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
    data = DataSettings.from_mapping(plain(config.data))
    return typical_input(
        image_sizes(data), data.short_side, data.long_side, family_class(config.family).divisor(config.space)
    )
