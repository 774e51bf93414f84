"""The family of a configuration's space: the class that `family` names, filled with typed values."""

from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from omegaconf import DictConfig, OmegaConf

from msnas.config.compose import OWN_FOLDER, folders, trusted
from msnas.errors import ConfigError
from msnas.families.family import Family
from supernet.weight_sources import SOURCES

T = TypeVar("T")
FILLED = ("space", "detector", "sides", "budget_macs", "schedule")  # fields of a family that are no groups of its own
FIXED: dict[str, tuple[str, ...]] = {  # the options of every family that a stage fixes
    "supernet": ("seed", "input", "family", "space", "data", "detector", "schedule", "train"),
    "search": ("budget", "strategy", "candidate", "fidelity", "baseline"),
    "retrain": ("retrain", "top_k"),
    "front": ("front",),
}


def family_class(name: str) -> type[Family]:
    """The class of that full name. Raises ConfigError where it is no family, or lies where nothing is trusted."""
    found = trusted("family", name)
    if not (isinstance(found, type) and issubclass(found, Family)):
        raise ConfigError(f"family must be a subclass of {Family.__name__}, but got {name!r}.")
    return found


def family_classes(config_dir: str | None = None) -> tuple[type[Family], ...]:
    """The families that the spaces of conf/space and of the user's own folder name, each once. Raises ConfigError."""
    return _families_of(folders([f"{OWN_FOLDER}={config_dir or ''}"]))


@cache
def _families_of(places: tuple[Path, ...]) -> tuple[type[Family], ...]:
    files = [file for place in places for file in sorted((place / "space").glob("*.yaml"))]
    named = (OmegaConf.select(OmegaConf.load(file), "family") for file in files)
    return tuple(map(family_class, dict.fromkeys(str(name) for name in named if name)))


def fixed_options(family: type[Family]) -> dict[str, tuple[str, ...]]:
    """Which options each stage fixes: once its folder exists they may not change any more.

    Those of every family, then the family's own; what a family does not say of a group, the first stage fixes.
    """
    found = {stage: list(names) for stage, names in FIXED.items()}
    for stage, names in own_groups(family).items():
        found[stage] += names
    return {stage: tuple(names) for stage, names in found.items()}


def own_groups(family: type[Family]) -> dict[str, list[str]]:
    """The groups of options that the family has of its own, by the stage that fixes them."""
    every = {*FILLED, *(name for names in FIXED.values() for name in names)}
    found: dict[str, list[str]] = {stage: [] for stage in FIXED}
    for field in fields(family):  # type: ignore[arg-type]  # every family is a frozen dataclass
        if field.name not in every:
            found[family.fixed_by.get(field.name, "supernet")].append(field.name)
    return found


def make_family(config: DictConfig, **known: Any) -> Family:
    """The family with the fields that are `known`; every other field is a group of options of the same name."""
    family = family_class(str(config.family))
    names = {field.name for field in fields(family)}  # type: ignore[arg-type]  # every family is a frozen dataclass
    given = {name: value for name, value in known.items() if name in names}
    return family(**option_groups(config), **given)


def option_groups(config: DictConfig) -> dict[str, Any]:
    """The groups of options that the family alone reads, by name, each as the class of the field of that name."""
    family = family_class(str(config.family))
    hints, groups = get_type_hints(family), {}
    for field in fields(family):  # type: ignore[arg-type]  # every family is a frozen dataclass
        if field.name in config and field.name not in FILLED:
            group: Any = OmegaConf.to_container(config[field.name], resolve=True)
            groups[field.name] = from_group(_class_of(hints[field.name]), group, name=field.name)
    return groups


def check_weights(groups: Mapping[str, Any]) -> None:
    """Raise ConfigError where an option that names weights is neither a word for some nor a file."""
    for name, group in groups.items():
        value = getattr(group, "weights", None)
        if value is not None and value not in SOURCES and not Path(str(value)).is_file():
            raise ConfigError(
                f"{name}.weights must be {', '.join(SOURCES)} or a file of weights, but there is no file {value}; "
                f"correct the path."
            )


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
