"""Folders of YOLO text and of Pascal VOC XML as COCO folders.

Read here in a hundred lines: `supervision`, which knows both, brings opencv and matplotlib, and stops at the first
record that it does not understand instead of naming it. Formats: https://docs.ultralytics.com/datasets/detect (a line
`class x y width height`, centres and sizes as fractions; a polygon where it holds more numbers) and
http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/ (corners in pixels: VOC's own count pixels from 1 and include
the last, those of labelling tools are places on the picture).
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from omegaconf import OmegaConf
from PIL import Image

from msnas.data.faults import shown
from msnas.data.images import ImageError, upright_size
from msnas.errors import ConfigError, DataError
from msnas.files import write_text

Record = dict[str, Any]
_NAMES = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}


@dataclass
class Split:
    """One split on the way to COCO: records of images, and of objects with the name of their class."""

    images: list[Record] = field(default_factory=list)
    objects: list[Record] = field(default_factory=list)

    def add(self, root: Path, picture: Path, size: tuple[int, int], objects: list[Record]) -> None:
        """An image of `size` (width, height) with its objects: `class`, `bbox` and maybe `segmentation`."""
        id_ = len(self.images) + 1
        name = picture.relative_to(root).as_posix()
        self.images.append({"id": id_, "file_name": name, "width": size[0], "height": size[1]})
        for one in objects:
            area = one["bbox"][2] * one["bbox"][3]
            record = {"id": len(self.objects) + 1, "image_id": id_, "area": area, "iscrowd": 0}
            self.objects.append(record | one)


def convert(source: Path, out: Path) -> dict[str, int]:
    """Write `out/{train,val,test}.json` and `out/images`, a link to `source` (a copy where links cannot be made).

    Answers how many images each split has. Raises ConfigError where `source` is neither format or `out` exists, and
    DataError, with file and line, for what cannot be read.
    """
    if not source.is_dir():
        raise ConfigError(f"D must be a folder of YOLO text or Pascal VOC files, but {source} is none.")
    if out.exists():
        raise ConfigError(f"{out} exists already; remove it, or give another folder with out=.")
    classes, splits = _voc(source) if _xml_files(source) else _yolo(source)
    if not any(split.images for split in splits.values()):
        raise ConfigError(f"{source} holds neither YOLO text (labels/*.txt) nor Pascal VOC files (*.xml) with images.")
    ids = {name: id_ for id_, name in enumerate(classes, start=1)}
    categories = [{"id": id_, "name": name} for name, id_ in ids.items()]
    out.mkdir(parents=True)
    for name, split in splits.items():
        annotations = [_with_id(one, ids) for one in split.objects]
        content = {"images": split.images, "annotations": annotations, "categories": categories}
        if split.images:
            write_text(out / f"{name}.json", json.dumps(content))
    try:
        (out / "images").symlink_to(source.resolve(), target_is_directory=True)
    except OSError:  # a file system, or a user of Windows, without symbolic links
        shutil.copytree(source, out / "images")
    return {name: len(split.images) for name, split in splits.items() if split.images}


def _with_id(one: Record, ids: dict[str, int]) -> Record:
    return {key: value for key, value in one.items() if key != "class"} | {"category_id": ids[one["class"]]}


def _pictures(folder: Path) -> list[Path]:
    known = {*Image.registered_extensions(), ".heic"}
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in known and path.is_file())


def _size(picture: Path) -> tuple[int, int]:
    try:
        return upright_size(picture)
    except ImageError as error:
        raise DataError(f"{picture}: {error}") from error


# YOLO


def _yolo(source: Path) -> tuple[list[str], dict[str, Split]]:
    """Images with a text file of the same name: beside them, or below `labels` where they are below `images`."""
    labels = {path: _label_file(path) for path in _pictures(source)}
    labels = {path: text for path, text in labels.items() if text is not None or "images" in path.parts[:-1]}
    names, splits = _class_names(source), {split: Split() for split in _NAMES}
    sizes = {path: _size(path) for path in labels}
    read = {path: list(_yolo_objects(text, sizes[path])) if text else [] for path, text in labels.items()}
    most = max((one["class"] for objects in read.values() for one in objects), default=-1)
    if names and most >= len(names):
        text = next(labels[path] for path, objects in read.items() if any(one["class"] == most for one in objects))
        raise DataError(f"{text}: a label has class {most}, but there are names of {len(names)} classes only.")
    names = names or [str(number) for number in range(most + 1)]
    for path, objects in read.items():
        objects = [one | {"class": names[one["class"]]} for one in objects]
        splits[_split_of(path.relative_to(source))].add(source, path, sizes[path], objects)
    return names, splits


def _label_file(picture: Path) -> Path | None:
    beside = picture.with_suffix(".txt")
    parts = list(beside.parts)
    places = [beside]
    if "images" in parts[:-1]:
        last = len(parts) - 2 - parts[-2::-1].index("images")
        places.insert(0, Path(*parts[:last], "labels", *parts[last + 1 :]))
    return next((place for place in places if place.is_file()), None)


def _yolo_objects(text: Path, size: tuple[int, int]) -> Iterator[Record]:
    width, height = size
    for number, line in enumerate(text.read_text(encoding="utf-8-sig").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            kind, *values = line.split()
            numbers = [float(value) for value in values]
            label = int(float(kind))
            places = numbers[:4] if len(numbers) < 6 else numbers  # a fifth number is a score, or the id of a track
            if label < 0 or len(numbers) < 4 or (len(numbers) > 5 and len(numbers) % 2) or not _fractions(places):
                raise ValueError
        except ValueError:
            rule = "a line must be a class and [x, y, width, height], or a polygon, as fractions"
            raise DataError(f"{text}: line {number}: {rule}, but got {shown(line)}") from None
        if len(numbers) < 6:
            x, y, w, h = numbers[0] * width, numbers[1] * height, numbers[2] * width, numbers[3] * height
            yield {"class": label, "bbox": [x - w / 2, y - h / 2, w, h]}
            continue
        xs, ys = [x * width for x in numbers[0::2]], [y * height for y in numbers[1::2]]
        polygon = [value for point in zip(xs, ys, strict=True) for value in point]
        box = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
        yield {"class": label, "bbox": box, "segmentation": [polygon]}


def _fractions(numbers: list[float]) -> bool:
    """Whether they can be meant so: a tool may place a box half outside, but none counts pixels from 0 to 2."""
    return all(-1 <= number <= 2 for number in numbers)


def _class_names(source: Path) -> list[str]:
    """From `data.yaml` (a list or a mapping), or from a text file with a name a line; none where there is neither."""
    for path in sorted([*source.glob("*.yaml"), *source.glob("*.yml")]):
        try:
            content: Any = OmegaConf.to_container(OmegaConf.load(path))
        except Exception as error:  # yaml and omegaconf have families of errors of their own
            raise DataError(f"{path} must be YAML with names: {' '.join(str(error).split())}") from error
        names = content.get("names") if isinstance(content, dict) else None
        if isinstance(names, dict):
            names = [names[key] for key in sorted(names, key=int)]
        if names:
            return [str(name) for name in names]
    for name in ("classes.txt", "obj.names", "labels/classes.txt"):
        if (source / name).is_file():
            lines = (source / name).read_text(encoding="utf-8-sig").splitlines()
            return [line.strip() for line in lines if line.strip()]
    return []


def _split_of(place: Path) -> str:
    """The split that a folder on the way to an image names, `train` where none does."""
    for part in place.parts[:-1]:
        for split, names in _NAMES.items():
            if part.lower() in names:
                return split
    return "train"


# Pascal VOC


def _xml_files(source: Path) -> list[Path]:
    return sorted(source.rglob("*.xml"))


def _voc(source: Path) -> tuple[list[str], dict[str, Split]]:
    """Every XML file with the image of its name; splits from `ImageSets/Main/{train,val,test}.txt`, else folders."""
    pictures = {path.stem: path for path in _pictures(source)}
    sets = {split: _listed(source, split) for split in _NAMES}
    splits, classes = {split: Split() for split in _NAMES}, dict[str, None]()
    for file in _xml_files(source):
        picture = pictures.get(file.stem)
        if picture is None:
            raise DataError(f"{file}: an image of that name must exist below {source}, but there is none.")
        objects = list(_voc_objects(file))
        classes |= dict.fromkeys(one["class"] for one in objects)
        split = next((name for name in _NAMES if file.stem in sets[name]), _split_of(file.relative_to(source)))
        splits[split].add(source, picture, _size(picture), objects)
    return sorted(classes), splits


def _listed(source: Path, split: str) -> set[str]:
    lines = [
        line
        for name in _NAMES[split]
        for file in source.glob(f"**/ImageSets/Main/{name}.txt")
        for line in file.read_text(encoding="utf-8-sig").splitlines()
    ]
    return {line.split()[0] for line in lines if line.strip()}


def _voc_objects(file: Path) -> Iterator[Record]:
    try:
        root = ElementTree.parse(file).getroot()
    except ElementTree.ParseError as error:
        raise DataError(f"{file} must be XML: {error}") from error
    first = int("VOC20" in (root.findtext("source/database") or ""))
    for number, one in enumerate(root.iter("object"), start=1):
        try:
            left, top, right, bottom = (
                float(one.findtext(f"bndbox/{key}", "")) for key in ("xmin", "ymin", "xmax", "ymax")
            )
            name = (one.findtext("name") or "").strip()
            if not name:
                raise ValueError
        except ValueError:
            rule = "an object must have a name and a bndbox of xmin, ymin, xmax, ymax"
            raise DataError(f"{file}: object {number}: {rule}.") from None
        yield {"class": name, "bbox": [left - first, top - first, right - left + first, bottom - top + first]}
