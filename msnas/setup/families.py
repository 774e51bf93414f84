"""The family of a configuration's space: the class that `family` names, filled with typed values."""

import importlib
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from omegaconf import DictConfig, OmegaConf

from msnas.config.compose import conf_folder
from msnas.errors import ConfigError
from msnas.families.family import Family

T = TypeVar("T")


def family_class(name: str) -> type[Family]:
    """The class of that full name. Raises ConfigError where it is none of this library's families."""
    module, _, attribute = name.rpartition(".")
    if not module.startswith("msnas."):
        raise ConfigError(f"family must be a class of this library, but got {name!r}.")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"family={name} does not exist: {error}") from error
    if not (isinstance(found, type) and issubclass(found, Family)):
        raise ConfigError(f"family must be a subclass of {Family.__name__}, but got {name!r}.")
    return found


def family_classes() -> tuple[type[Family], ...]:
    """The families that the spaces of conf/space name, each once."""
    return _families_of(conf_folder())


@cache
def _families_of(conf: Path) -> tuple[type[Family], ...]:
    files = sorted((conf / "space").glob("*.yaml"))
    named = (OmegaConf.select(OmegaConf.load(file), "family") for file in files)
    return tuple(map(family_class, dict.fromkeys(str(name) for name in named if name)))


def make_family(config: DictConfig, **known: Any) -> Family:
    """The family with the fields that are `known`; every other field is a group of options of the same name."""
    family = family_class(str(config.family))
    hints = get_type_hints(family)
    values = {}
    for field in fields(family):  # type: ignore[arg-type]  # every family is a frozen dataclass
        if field.name in known:
            values[field.name] = known[field.name]
        elif field.name in config:
            group: Any = OmegaConf.to_container(config[field.name], resolve=True)
            values[field.name] = from_group(_class_of(hints[field.name]), group, name=field.name)
    return family(**values)


def from_group(kind: type[T], group: Mapping[str, Any], *, name: str) -> T:
    """The dataclass `kind` of a group of options; lists become tuples. Raises ConfigError for an unknown option."""
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    for key in group:
        if key not in known:
            raise ConfigError(f"{name}.{key} means nothing here; {name} has: {', '.join(sorted(known))}.")
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in group.items()})


def _class_of(hint: Any) -> Any:
    """The class of a field, without the None that it may be."""
    return next((part for part in get_args(hint) if part is not type(None)), hint)
