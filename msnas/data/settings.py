"""What a user says about the data: where it lies, how large images become, how splits are drawn. Free of torch."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from msnas.errors import ConfigError
from msnas.files import at_home

COCO, SHAPES = "coco", "shapes"  # kinds of data: a folder in COCO format, and what this library draws itself
PIXEL_LIMIT = 178_956_970  # of one image: where Pillow too takes it for an attack
ENOUGH_THREADS = 4  # each holds the lock for a tenth of its time, which the training wants: experiments/bench/bench.md
PATHS = ("root", "train_json", "val_json", "test_json", "images", "train_images", "val_images", "test_images")
_DRAWING = {  # config key -> field
    "size": "size",
    "train": "train",
    "val": "val",
    "drawing_seed": "seed",
    "objects": "objects",
}


@dataclass(frozen=True, kw_only=True)
class SearchVal:
    """The part of the training images that is held out to score candidates: a fraction between two bounds."""

    fraction: float = 0.1
    minimum: int = 50
    maximum: int = 5000

    def __post_init__(self) -> None:
        """Raises ConfigError for a value out of range."""
        _number("data.search_val.fraction", self.fraction, 0, 0.5)
        _integer("data.search_val.minimum", self.minimum, 1)
        _integer("data.search_val.maximum", self.maximum, 1)
        if self.minimum > self.maximum:
            raise ConfigError(
                f"data.search_val: minimum <= maximum must hold, but got {self.minimum} and {self.maximum}."
            )


@dataclass(frozen=True, kw_only=True)
class ShapesSettings:
    """The drawn data set: `size` pixels square, so many images in each split, all a function of `seed`.

    objects: smallest and largest side of an object, in pixels; None: from 1/12 to 7/8 of the image's side.
    """

    size: int = 128
    train: int = 600
    val: int = 150
    seed: int = 0
    objects: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        """Raises ConfigError for a value out of range."""
        _integer("data.size", self.size, 32, 2048)
        _integer("data.train", self.train, 1, 1_000_000)
        _integer("data.val", self.val, 1, 1_000_000)
        _integer("data.drawing_seed", self.seed, 0)
        if self.objects is not None:
            object.__setattr__(self, "objects", _sides(self.objects, self.size))


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """One data set and how it is read.

    root: folder in COCO format (relative overrides are looked up in it); None for drawn shapes: a cache
    folder. `~` is expanded in every path. short_side, long_side: pixels; an image is resized so that its short side is
    `short_side`, unless its long side would then exceed `long_side`. flip: probability. jitter: lowest and highest
    factor on that size in training; crop: whether what that enlarged is cut to the size before. workers: threads
    that decode; processes: whether each does so in a process of its own (None: see `decoding_processes`). memory_limit:
    bytes of decoded images that may be held. masks: whether segmentations are read.
    selection: the share of search_val that is kept for the finalists. group: a key of the image records; images of one
    value stay on one side of every split, and so do near copies unless near_copies is false. repair_names,
    links: which image files are taken (see `images`). white: the value of white in 16-bit images; None: see `depth`.
    pixel_limit: pixels that one image may have.
    """

    name: str = "coco"
    root: str | None = None
    train_json: str | None = None
    val_json: str | None = None
    test_json: str | None = None
    images: str | None = None
    train_images: str | None = None
    val_images: str | None = None
    test_images: str | None = None
    short_side: int = 800
    long_side: int = 1333
    flip: float = 0.5
    jitter: tuple[float, float] = (1.0, 1.0)
    crop: bool = False
    workers: int = 4
    processes: bool | None = None
    memory_limit: float = 2e9
    masks: bool = False
    val_fraction: float = 0.2
    search_val: SearchVal = field(default_factory=SearchVal)
    selection: float = 0.0
    group: str | None = None
    near_copies: bool = True
    repair_names: bool = False
    links: bool = False
    white: int | None = None
    pixel_limit: int = PIXEL_LIMIT
    shapes: ShapesSettings | None = None

    def __post_init__(self) -> None:
        """Raises ConfigError for a value of the wrong type or out of range."""
        for key in PATHS:
            _text_or_none(f"data.{key}", getattr(self, key))
            if getattr(self, key) is not None:
                path: str = getattr(self, key)
                object.__setattr__(self, key, at_home(path, f"data.{key}") if path.startswith("~") else path)
        _integer("data.short_side", self.short_side, 1)
        _integer("data.long_side", self.long_side, self.short_side)
        _number("data.flip", self.flip, 0, 1)
        object.__setattr__(self, "jitter", _jitter(self.jitter))
        _integer("data.workers", self.workers, 0, 256)
        if not (self.processes is None or isinstance(self.processes, bool)):
            raise ConfigError(f"data.processes must be true, false or null, but got {self.processes!r}.")
        if self.processes and not self.workers:
            raise ConfigError("data.processes=true needs processes, but data.workers is 0; give their number.")
        _number("data.memory_limit", self.memory_limit, 0)
        _number("data.val_fraction", self.val_fraction, 0, 0.5)
        _number("data.selection", self.selection, 0, 0.9)
        _text_or_none("data.group", self.group, "a key of the image records")
        if self.white is not None:
            _integer("data.white", self.white, 1, 65535)
        _integer("data.pixel_limit", self.pixel_limit, 1)
        for key in ("crop", "masks", "near_copies", "repair_names", "links"):
            if not isinstance(getattr(self, key), bool):
                raise ConfigError(f"data.{key} must be true or false, but got {getattr(self, key)!r}.")
        files = (self.train_json, self.val_json, self.test_json)
        if self.shapes is None and self.root is None and files == (None, None, None):
            raise ConfigError(
                "data.root must name a folder in COCO format, but it is null; give data.root=FOLDER, or data=shapes."
            )

    @property
    def decoding_processes(self) -> int:
        """How many processes decode; 0: the threads do it themselves."""
        wanted = self.workers > ENOUGH_THREADS if self.processes is None else self.processes
        return self.workers if wanted else 0

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], *, masks: bool = False) -> "DataSettings":
        """Settings from the `data` part of a configuration, as plain Python values.

        The keys of a drawing (size, train, val, drawing_seed, objects) belong to `kind: shapes`. Raises ConfigError
        for an unknown key, with the nearest known one, and for a bad value.
        """
        values = dict(mapping)
        known = {item.name for item in fields(cls)} - {"shapes"}
        drawn = _kind(values) == SHAPES
        _refuse_unknown("data", values, known | set(_DRAWING) if drawn else known)
        if drawn:
            drawing = {_DRAWING[key]: values.pop(key) for key in tuple(values) if key in _DRAWING}
            values["shapes"] = ShapesSettings(**drawing)
        held_out = values.get("search_val")
        if isinstance(held_out, Mapping):
            _refuse_unknown("data.search_val", held_out, {item.name for item in fields(SearchVal)})
            values["search_val"] = SearchVal(**held_out)
        elif held_out is not None and not isinstance(held_out, SearchVal):
            raise ConfigError(f"data.search_val must have fraction, minimum and maximum, but got {held_out!r}.")
        return cls(**{"masks": masks, **values})


def check_cached(jitter: Sequence[float], crop: bool, *, of: str = "data", views: int = 1) -> None:
    """Raise ConfigError for augmentations, options of that group, that do not fit features which are computed once.

    views: of each training image; one cannot be rescaled afterwards, more than one are to be of several scales.
    """
    of_one_scale = list(jitter) == [1, 1]
    given = f"{of}.jitter={list(jitter)} {of}.crop={str(crop).lower()}"
    if views == 1 and (crop or not of_one_scale):
        raise ConfigError(
            f"Scale jitter and crops are not possible on the features of a frozen backbone, which are computed once, "
            f"but got {given}; give {of}.jitter=[1,1] {of}.crop=false, or a few views of each image, "
            f"backbone.views=8, or backbone.train=slow or full."
        )
    if views > 1 and of_one_scale:
        raise ConfigError(
            f"Several views of an image differ in scale, but got backbone.views={views} and {given}; "
            f"give {of}.jitter=[0.6,1.4] {of}.crop=true too."
        )


def check_views(views: Mapping[str, Any]) -> None:
    """Raise ConfigError for values of `retrain.data.*` that images cannot be read by, before any are."""
    try:
        DataSettings(root=".", **views)
    except ConfigError as error:
        raise ConfigError(f"retrain.{error}") from error


def _kind(values: dict[str, Any]) -> str:
    """Takes `kind` out of the mapping; without one, a drawing's keys under its own name say the same."""
    drawing = values.get("name") == SHAPES and not values.keys().isdisjoint(_DRAWING)
    kind = values.pop("kind", SHAPES if drawing else COCO)
    if kind not in (COCO, SHAPES):
        raise ConfigError(f"data.kind must be {COCO} or {SHAPES}, but got {kind!r}.")
    return str(kind)


def _refuse_unknown(where: str, values: Mapping[str, Any], known: set[str]) -> None:
    for key in values:
        if key not in known:
            close = difflib.get_close_matches(str(key), sorted(known), n=1)
            hint = f"Did you mean {close[0]!r}?" if close else f"The keys are: {', '.join(sorted(known))}."
            raise ConfigError(f"{where} has no key {key!r}. {hint}")


def _integer(name: str, value: object, low: int, high: int | None = None) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"{name} must be a whole number, but got {value!r}.")
    if value < low or (high is not None and value > high):
        bound = f"at least {low}" if high is None else f"from {low} to {high}"
        raise ConfigError(f"{name} must be {bound}, but got {value}.")


def _number(name: str, value: object, low: float, high: float = float("inf")) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{name} must be a number, but got {value!r}.")
    if not low <= value <= high:
        bound = f"at least {low}" if high == float("inf") else f"from {low} to {high}"
        raise ConfigError(f"{name} must be {bound}, but got {value}.")


def _text_or_none(name: str, value: object, what: str = "a path") -> None:
    if value is not None and (not isinstance(value, str) or not value):
        raise ConfigError(f"{name} must be {what} or null, but got {value!r}.")


def _sides(value: object, image: int) -> tuple[float, float]:
    """Smallest and largest side of drawn objects, in pixels."""
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ConfigError(f"data.objects must be [smallest, largest] side in pixels, or null, but got {value!r}.")
    small, large = value
    _number("data.objects[0]", small, 4, image)  # below, an outline has too few pixels to tell classes apart
    _number("data.objects[1]", large, small, image)
    return float(small), float(large)


def _jitter(value: object) -> tuple[float, float]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ConfigError(f"data.jitter must be [lowest, highest] factor, such as [0.8, 1.2], but got {value!r}.")
    low, high = value
    _number("data.jitter[0]", low, 0.1, 10)
    _number("data.jitter[1]", high, 0.1, 10)
    if low > high:
        raise ConfigError(f"data.jitter: lowest <= highest must hold, but got {value!r}.")
    return float(low), float(high)
