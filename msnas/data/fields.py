"""The fields of COCO records, one function each: the value as the right type, or FieldError with the rule."""

import math
from typing import Any

from msnas.data.faults import shown

MIN_SIDE = 0.01  # pixels; a box with a shorter side is empty: COCO rounds coordinates to two decimals
Box = tuple[float, float, float, float]
Record = dict[str, Any]


class FieldError(Exception):
    """A field that breaks a rule. Never leaves the reader of the file, which notes it."""

    def __init__(self, field: str, rule: str, got: str = "") -> None:
        super().__init__(rule)
        self.field, self.rule, self.got = field, rule, got


def present(record: Record, key: str) -> Any:
    """The value of a key that must exist."""
    if key not in record:
        raise FieldError(key, "the key must exist")
    return record[key]


def integer(record: Record, key: str, least: int | None = None, most: int | None = None) -> int:
    """A whole number, of any size without bounds; 1.0 is one too (JSON has no integers of its own), true is none."""
    value = present(record, key)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise FieldError(key, "the value must be a whole number", shown(value))
    if least is not None and value < least:
        raise FieldError(key, f"the value must be at least {least}", shown(value))
    if most is not None and value > most:
        raise FieldError(key, f"the value must be at most {most:,}", shown(value))
    return value


def text(record: Record, key: str, what: str = "text that is not empty") -> str:
    """Text that is not empty and that can be printed and stored. what: what a message says it must be."""
    value = present(record, key)
    if not isinstance(value, str) or not value.strip():
        raise FieldError(key, f"the value must be {what}", shown(value))
    if any(0xD800 <= ord(letter) <= 0xDFFF for letter in value) or "\0" in value:
        raise FieldError(key, "the text must be valid Unicode without NUL", shown(value))
    return value


def bbox(record: Record) -> Box:
    """[x, y, width, height] as the file has it: four finite numbers, the sizes not negative."""
    value = present(record, "bbox")
    if not isinstance(value, list) or len(value) != 4 or not all(_is_number(part) for part in value):
        raise FieldError("bbox", "the box must be four numbers [x, y, width, height]", shown(value))
    x, y, width, height = (_to_float(part) for part in value)
    if not all(map(math.isfinite, (x, y, width, height))):
        raise FieldError("bbox", "every number of the box must be finite", shown(value))
    if width < 0 or height < 0:
        raise FieldError("bbox", "width and height must not be negative", shown(value))
    return x, y, width, height


def crowd(record: Record) -> bool:
    """Whether the object is a crowd region; 0 where that is missing or null, as pycocotools' masks have it."""
    value = record.get("iscrowd")
    if value is None:
        return False
    if not isinstance(value, bool | int | float) or value not in (0, 1):
        raise FieldError("iscrowd", "the value must be 0 or 1", shown(value))
    return bool(value)


def area(record: Record) -> float:
    """The area of an object in pixels."""
    value = present(record, "area")
    if not _is_number(value):
        raise FieldError("area", "the value must be a number", shown(value))
    if not math.isfinite(_to_float(value)) or value < 0:
        raise FieldError("area", "the value must be finite and not negative", shown(value))
    return _to_float(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _to_float(value: int | float) -> float:
    """`value` as a float; a whole number beyond its range is infinite."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
