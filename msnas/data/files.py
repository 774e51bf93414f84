"""Where the parts of a data set lie: the two usual COCO layouts, and the user's overrides."""

from dataclasses import dataclass
from pathlib import Path

from msnas.data.settings import DataSettings
from msnas.errors import ConfigError


@dataclass(frozen=True)
class SplitFiles:
    """One split: its annotation file, the folder its file names are relative to, and the name faults give the
    file.
    """

    annotations: Path
    images: Path
    label: str


@dataclass(frozen=True)
class DataFiles:
    """A data set on disk. `val` is None where there is no validation file: a part of train is then split
    off.
    """

    root: Path
    train: SplitFiles
    val: SplitFiles | None


# (train, val) annotation files and image folders, relative to the root; the first layout with a file is taken
_LAYOUTS = (
    (("train.json", "images"), ("val.json", "images")),
    (
        ("annotations/instances_train2017.json", "train2017"),
        ("annotations/instances_val2017.json", "val2017"),
    ),
)


def find_files(settings: DataSettings, root: Path | None = None) -> DataFiles:
    """The files of `settings`, by layout and overrides. A file that the layout wants need not exist: see
    `check`.

    root: takes the place of `settings.root`. Raises ConfigError where the root or an override does not exist.
    """
    root = root or (Path(settings.root) if settings.root is not None else Path())
    if not root.is_dir():
        raise ConfigError(f"data.root must be a folder that exists, but got {str(root)!r}.")
    train, val = next((pair for pair in _LAYOUTS if any((root / part[0]).exists() for part in pair)), _LAYOUTS[0])
    images = _override(root, "images", settings.images)
    train_json = _override(root, "train_json", settings.train_json)
    val_json = _override(root, "val_json", settings.val_json)
    if val_json is None and (train_json is None or settings.root is not None) and (root / val[0]).exists():
        val_json = root / val[0]
    return DataFiles(
        root,
        _split(root, train_json or root / train[0], images or root / train[1]),
        None if val_json is None else _split(root, val_json, images or root / val[1]),
    )


def _override(root: Path, key: str, value: str | None) -> Path | None:
    """An override as a path: as it stands, else inside the root."""
    if value is None:
        return None
    for path in (root / value, Path(value)):
        if path.exists():
            return path
    raise ConfigError(f"data.{key} must exist, in data.root or as a path by itself, but got {value!r}.")


def _split(root: Path, annotations: Path, images: Path) -> SplitFiles:
    label = annotations.relative_to(root) if annotations.is_relative_to(root) else annotations
    return SplitFiles(annotations, images, str(label))
