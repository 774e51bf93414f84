"""From the configuration to the search space, its input size and its budget. Torch-free: `msnas cost` lives on it."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

from omegaconf import DictConfig

from msnas.config.compose import build
from msnas.data.geometry import typical_input
from msnas.errors import ConfigError
from msnas.setup.families import family_class
from msnas.setup.latency_table import latency_of, wants_latency
from supernet.cost import Cost
from supernet.space import Budget, SearchSpace

BUDGETS = ("macs", "params", "latency_ms")


def make_space(config: DictConfig, size: tuple[int, int]) -> SearchSpace:
    """The search space of the configuration at an input size, without a budget."""
    if wants_latency(config):
        return cast(SearchSpace, build(config.space, input_size=size, latency=latency_of(config, size)))
    return cast(SearchSpace, build(config.space, input_size=size))


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
    data = config.data
    sizes = [(data.size, data.size)] if data.name == "shapes" else _listed_sizes(train_json(data))
    return typical_input(sizes, data.short_side, data.long_side, family_class(config.family).divisor(config.space))


def train_json(data: DictConfig) -> Path:
    """The training annotations of a COCO folder, in either of the two usual layouts."""
    if data.train_json is not None:
        return Path(data.train_json)
    if data.root is None:
        raise ConfigError(
            "data.root must name a folder in COCO format, but it is null; give data.root=FOLDER, or data=shapes."
        )
    root = Path(data.root)
    for path in (root / "train.json", root / "annotations" / "instances_train2017.json"):
        if path.exists():
            return path
    raise ConfigError(
        f"{root} holds neither train.json nor annotations/instances_train2017.json; give data.train_json=."
    )


def _listed_sizes(path: Path) -> list[tuple[int, int]]:
    """(height, width) of every image that an annotation file lists."""
    try:
        images = json.loads(path.read_text(encoding="utf-8-sig"))["images"]
        sizes = [(int(image["height"]), int(image["width"])) for image in images]
    except (OSError, ValueError, KeyError, TypeError) as error:
        told = f"Image sizes cannot be read from {path} ({error})"
        raise ConfigError(f"{told}; run `msnas check`, or give input=HxW.") from error
    if not sizes or min(min(size) for size in sizes) < 1:
        raise ConfigError(f"{path} lists no image with a size; run `msnas check`, or give input=HxW.")
    return sizes
