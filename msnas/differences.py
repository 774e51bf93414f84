"""Nested mappings by their dotted keys: the leaves of one, and where two differ."""

from collections.abc import Iterable, Mapping
from typing import Any


def flatten(values: Mapping[Any, Any], prefix: str = "", *, parts: bool = False) -> dict[str, Any]:
    """Leaves of nested mappings by their dotted keys; lists and empty mappings are leaves.

    parts: also the mappings that hold others, each before what it holds.
    """
    leaves: dict[str, Any] = {}
    for key, value in values.items():
        holds = isinstance(value, Mapping) and len(value) > 0
        if parts or not holds:
            leaves[f"{prefix}{key}"] = value
        if holds:
            leaves.update(flatten(value, f"{prefix}{key}.", parts=parts))
    return leaves


def differences(
    old: Mapping[Any, Any], new: Mapping[Any, Any], within: Iterable[str] | None = None
) -> dict[str, tuple[Any, Any]]:
    """Leaves that differ: dotted key -> (old, new), None where one has no such key.

    within: only keys whose first part is one of these.
    """
    before, after = flatten(old), flatten(new)
    first = None if within is None else set(within)
    keys = sorted(key for key in before.keys() | after.keys() if first is None or key.partition(".")[0] in first)
    return {key: (before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)}
