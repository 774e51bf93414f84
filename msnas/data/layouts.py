"""Where the parts of a data set lie: the usual layouts of COCO folders and labelling tools, and the user's overrides.

The one resolver: every command asks it.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from msnas.data.images import PLAIN, Reading
from msnas.data.settings import DataSettings
from msnas.errors import ConfigError


@dataclass(frozen=True)
class SplitFiles:
    """One split.

    images: the folder that file names are relative to; label: what faults call the annotation file; reading: how its
    images are read.
    """

    annotations: Path
    images: Path
    label: str
    reading: Reading = PLAIN


@dataclass(frozen=True)
class DataFiles:
    """A data set on disk. `val` and `test` are None where it has none; a part of train is then split off as val."""

    root: Path
    train: SplitFiles
    val: SplitFiles | None
    test: SplitFiles | None = None


@dataclass(frozen=True)
class _Layout:
    """Annotation files and image folders relative to the root; `{s}` is the split.

    Of several folders the first that exists is taken, and the first of all where none does.
    """

    annotations: str
    images: tuple[str, ...]


# Names of the splits in folders and files, the most usual one first.
_NAMES = {
    "train": ("train", "Train", "training", "Training"),
    "val": ("val", "valid", "validation", "Val", "Valid", "Validation"),
    "test": ("test", "Test", "testing", "Testing"),
}
# The first layout with a file for training or validation is taken, else the first with one for testing.
_LAYOUTS = (
    _Layout("{s}.json", ("images", "images/{s}", "{s}", ".")),
    _Layout("annotations/instances_{s}2017.json", ("{s}2017", "images/{s}2017")),
    _Layout("{s}/_annotations.coco.json", ("{s}",)),  # Roboflow
    _Layout("annotations/{s}.json", ("{s}", "images/{s}", "images")),  # MMDetection
    _Layout("annotations/instances_{s}.json", ("images/{s}", "{s}", "images")),  # CVAT with subsets
    _Layout("annotations/instances_{s}2014.json", ("{s}2014", "images/{s}2014")),
    _Layout("{s}/labels.json", ("{s}/data",)),  # FiftyOne
    _Layout("{s}/annotations.json", ("{s}/images", "{s}")),
)
_WHOLE = (  # one file for all, which training takes
    _Layout("annotations/instances_default.json", ("images/default", "images")),  # CVAT
    _Layout("_annotations.coco.json", (".",)),  # Roboflow, not divided
    _Layout("result.json", ("images",)),  # Label Studio
)
_VAL = re.compile(r"(?<![a-z])val(id|idation)?(?![a-z])", re.I)
_SEEN = 8  # names that a message lists


def find_files(settings: DataSettings, root: Path | None = None) -> DataFiles:
    """The files of `settings`, by layout and overrides. A file that the layout wants need not exist: see `check`.

    root: takes the place of `settings.root`. Raises ConfigError where the root or an override does not exist.
    """
    root = root or (Path(settings.root) if settings.root is not None else Path())
    if not root.is_dir():
        raise ConfigError(
            f"data.root must be a folder that exists, but got {str(root)!r}; data.root=NEW names it where it has moved."
        )
    found = {split: _split(settings, root, split) for split in ("train", "val", "test")}
    train = found["train"] or _files(settings, root, "train", root / "train.json", root / "images")
    return DataFiles(root, train, found["val"], found["test"])


def seen(root: Path) -> str:
    """The JSON files and folders of a data folder, for a message about a file that is not there."""
    inside = sorted(path for path in root.iterdir() if not path.name.startswith("."))
    folders = [f"{path.name}/" for path in inside if path.is_dir()]
    below = (path for folder in inside if folder.is_dir() for path in sorted(folder.glob("*.json"))[:_SEEN])
    jsons = [str(path.relative_to(root)) for path in (*inside, *below) if path.suffix.lower() == ".json"]
    names = [*jsons[:_SEEN], *folders[:_SEEN]]
    return f"{root} holds {', '.join(map(ascii, names))}" if names else f"{root} holds no JSON file and no folder"


def passed_over(files: DataFiles) -> list[Path]:
    """Files of validation that lie in the folder and are not read, relative to it: those of other layouts.

    Where none is read, all that are named so.
    """
    root, jsons = files.root, sorted([*files.root.glob("*.json"), *files.root.glob("*/*.json")])
    usual = {root / layout.annotations.format(s=name) for layout in _LAYOUTS for name in _NAMES["val"]}
    read = [part.annotations for part in (files.train, files.val, files.test) if part and part.annotations.exists()]
    named = [path.relative_to(root) for path in jsons if not any(path.samefile(one) for one in read)]
    return [path for path in named if root / path in usual or (files.val is None and _VAL.search(path.as_posix()))]


def _split(settings: DataSettings, root: Path, split: str) -> SplitFiles | None:
    """A split by its override, else by the layout; None where neither names a file that exists."""
    override = _override(settings, root, f"{split}_json")
    if override is not None:
        return _files(settings, root, split, override, _images_beside(root, override, split, settings.root is None))
    if settings.root is None and settings.shapes is None:
        return None  # files that were named one by one
    layout = _layout(root)
    if layout is None:
        return _whole(settings, root, split)
    for name in _NAMES[split]:
        annotations = root / layout.annotations.format(s=name)
        if annotations.exists():
            return _files(settings, root, split, annotations, _folder(root, layout, name))
    if split != "train":
        return None
    annotations = root / layout.annotations.format(s=split)  # as the layout wants it, though it is not there
    return _files(settings, root, split, annotations, _folder(root, layout, split))


def _whole(settings: DataSettings, root: Path, split: str) -> SplitFiles | None:
    """The one file of a data set that is not divided, which is for training."""
    for whole in _WHOLE if split == "train" else ():
        if (root / whole.annotations).is_file():
            return _files(settings, root, split, root / whole.annotations, _folder(root, whole, split))
    return None


def _layout(root: Path) -> _Layout | None:
    for splits in (("train", "val"), ("test",)):
        for layout in _LAYOUTS:
            if any(_named(root, layout, split) for split in splits):
                return layout
        if any((root / whole.annotations).is_file() for whole in _WHOLE):
            return None
    return None


def _named(root: Path, layout: _Layout, split: str) -> bool:
    return any((root / layout.annotations.format(s=name)).exists() for name in _NAMES[split])


def _folder(root: Path, layout: _Layout, name: str) -> Path:
    """Of the layout's folders that are there, the one with the first image, else the first below the root."""
    folders = [root / folder.format(s=name) for folder in layout.images]
    there = [folder for folder in folders if folder.is_dir()]
    first = _first_name(root / layout.annotations.format(s=name)) if len(there) > 1 else None
    holding = next((one for one in there if first is not None and (one / first).is_file()), None)
    folder = holding or next((one for one in there if one != root), folders[0])
    if layout.annotations == "result.json" and _names_folder(root / layout.annotations, "images"):
        return root
    return folder


def _first_name(annotations: Path) -> str | None:
    """The file's first name of an image, where its beginning tells."""
    if not annotations.is_file():
        return None
    with open(annotations, "rb") as file:
        start = file.read(1_000_000).decode("utf-8", "ignore")
    found = re.search(r'"file_name"\s*:\s*("(?:[^"\\]|\\.)*")', start)
    return None if found is None else str(json.loads(found[1]))


def _names_folder(annotations: Path, folder: str) -> bool:
    """Whether the file's first name of an image begins with `folder`, as Label Studio's do or do not by version."""
    with open(annotations, "rb") as file:
        start = file.read(1_000_000).decode("utf-8", "ignore")
    return re.search(rf'"file_name"\s*:\s*"{folder}\\*[/\\]', start) is not None


def _images_beside(root: Path, annotations: Path, split: str, alone: bool) -> Path:
    """The image folder of an annotation file that was named: that of the layout it fits, else the root's `images`.

    alone: there is no root, so that a folder beside the file counts.
    """
    for layout in (*_LAYOUTS, *_WHOLE):
        for name in _NAMES[split]:
            if annotations == root / layout.annotations.format(s=name):
                return _folder(root, layout, name)
    beside = [annotations.parent / "images", annotations.parent] if alone else []
    return next((one for one in (root / "images", *beside) if one.is_dir()), root / "images")


def _override(settings: DataSettings, root: Path, key: str) -> Path | None:
    """An override as a path: inside the root, else as it stands."""
    value: str | None = getattr(settings, key)
    if value is None:
        return None
    for path in (root / value, Path(value)):
        if path.exists():
            return path
    raise ConfigError(f"data.{key} must exist, in data.root or as a path by itself, but got {value!r}.")


def _files(settings: DataSettings, root: Path, split: str, annotations: Path, images: Path) -> SplitFiles:
    own, shared = (_override(settings, root, key) for key in (f"{split}_images", "images"))
    label = annotations.relative_to(root) if annotations.is_relative_to(root) else annotations
    reading = Reading(settings.white, settings.pixel_limit, settings.links)
    return SplitFiles(annotations, own or shared or images, str(label), reading)
