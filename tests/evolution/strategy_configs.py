"""The strategies found in conf/strategy."""

import importlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[2] / "conf" / "strategy"
CONFIGS = sorted(path for path in FOLDER.glob("*.yaml") if not path.stem.startswith("by_scale_"))  # those name others


def factory(config: Path) -> Callable[..., Any]:
    """The class of a config with the config's own values bound."""
    values = _values(config)
    module, _, name = values.pop("_target_").rpartition(".")
    return partial(getattr(importlib.import_module(module), name), **values)


def _values(config: Path) -> dict[str, Any]:
    """A config's values over those of the one that its `defaults` name, as hydra composes them."""
    values = yaml.safe_load(config.read_text())
    base = next((name for name in values.pop("defaults", []) if name != "_self_"), None)
    return values if base is None else {**_values(config.with_name(f"{base}.yaml")), **values}
