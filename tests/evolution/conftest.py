"""Every strategy found in conf/strategy, built with its defaults for the toy space."""

import importlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from toy_space import ToySpace

CONFIGS = sorted((Path(__file__).parents[2] / "conf" / "strategy").glob("*.yaml"))
SMALL = {"population_size": 12, "children": 10, "iterations": 4}  # quick, and accepted by every strategy


def factory(config: Path) -> Callable[..., Any]:
    """The class of a config with the config's own values bound."""
    values = yaml.safe_load(config.read_text())
    assert values.pop("_partial_") is True
    module, _, name = values.pop("_target_").rpartition(".")
    return partial(getattr(importlib.import_module(module), name), **values)


@pytest.fixture(params=CONFIGS, ids=lambda path: path.stem)
def strategy_factory(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """`strategy_factory(space, seed=...)` as the search calls it."""
    return factory(request.param)


@pytest.fixture
def make(strategy_factory: Callable[..., Any]) -> Callable[..., Any]:
    """A small one: `make(seed=..., space=...)`."""

    def build(seed: int = 0, space: Any = None, **changes: Any) -> Any:
        return strategy_factory(ToySpace() if space is None else space, seed=seed, **{**SMALL, **changes})

    return build
