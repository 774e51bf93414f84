"""Folders of YOLO text and of Pascal VOC XML as COCO folders.

Read here in a hundred lines: `supervision`, which knows both, brings opencv and matplotlib, and stops at the first
record that it does not understand instead of naming it. Formats: https://docs.ultralytics.com/datasets/detect (a line
`class x y width height`, centres and sizes as fractions; a polygon where it holds more numbers, but keypoints behind
the box where `kpt_shape` says so) and
http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/ (corners in pixels: VOC's own count pixels from 1 and include
the last, those of labelling tools are places on the picture).
"""

import itertools
import json
import logging
import math
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from omegaconf import OmegaConf
from PIL import Image

from msnas.data.faults import shown
from msnas.data.images import PLUG_INS, ImageError, Reading, upright_size
from msnas.data.segmentation import polygon_area
from msnas.data.settings import PIXEL_LIMIT
from msnas.errors import ConfigError, DataError
from msnas.files import decoded, write_text

Record = dict[str, Any]
_NAMES = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test", "testing")}
_DATA = ("data", "dataset")  # what a description is called
_OWN = ("class", "form")  # keys of objects on the way to COCO
log = logging.getLogger(__name__)


@dataclass
class Split:
    """One split on the way to COCO: records of images, and of objects with the number of their class, from 0."""

    images: list[Record] = field(default_factory=list)
    objects: list[Record] = field(default_factory=list)

    def add(self, root: Path, picture: Path, size: tuple[int, int], objects: list[Record]) -> None:
        """An image of `size` (width, height) with its objects: `class`, `bbox`, maybe `form` and `segmentation`."""
        id_ = len(self.images) + 1
        name = picture.relative_to(root).as_posix()
        self.images.append({"id": id_, "file_name": name, "width": size[0], "height": size[1]})
        for one in objects:
            polygons = one.get("segmentation")
            area = sum(map(polygon_area, polygons)) if polygons else one["bbox"][2] * one["bbox"][3]
            record = {"id": len(self.objects) + 1, "image_id": id_, "area": area, "iscrowd": 0}
            self.objects.append(record | one)


def convert(source: Path, out: Path, *, pixel_limit: int = PIXEL_LIMIT) -> dict[str, int]:
    """Write `out/{train,val,test}.json` and `out/images`, a link to `source` (a copy where links cannot be made).

    Answers how many images each split has. pixel_limit: pixels that one image may have. Raises ConfigError where
    `source` is neither format or `out` exists, and DataError, with file and line, for what cannot be read.
    """
    if not source.is_dir():
        raise ConfigError(f"D must be a folder of YOLO text or Pascal VOC files, but {source} is none.")
    if out.exists():
        raise ConfigError(f"{out} exists already; remove it, or give another folder with out=.")
    read = _voc if _xml_files(source) else _yolo
    classes, splits = read(source, Reading(pixel_limit=pixel_limit))
    if not any(split.images for split in splits.values()):
        raise ConfigError(f"{source} holds neither YOLO text (labels/*.txt) nor Pascal VOC files (*.xml) with images.")
    categories = [{"id": id_, "name": name} for id_, name in enumerate(classes, start=1)]
    out.mkdir(parents=True)
    for name, split in splits.items():
        annotations = [_with_id(one) for one in split.objects]
        content = {"images": split.images, "annotations": annotations, "categories": categories}
        if split.images:
            write_text(out / f"{name}.json", json.dumps(content))
    try:
        (out / "images").symlink_to(source.resolve(), target_is_directory=True)
    except OSError:  # a file system, or a user of Windows, without symbolic links
        shutil.copytree(source, out / "images")
    return {name: len(split.images) for name, split in splits.items() if split.images}


def _with_id(one: Record) -> Record:
    return {key: value for key, value in one.items() if key not in _OWN} | {"category_id": one["class"] + 1}


def _text(file: Path) -> str:
    try:
        return decoded(file.read_bytes())
    except UnicodeDecodeError:
        raise DataError(f"{file} must be text in UTF-8, but is not; save it as UTF-8.") from None


def _left_out(number: int, what: str) -> None:
    if number:
        log.info("Left out: %d %s.", number, what)


def _pictures(folder: Path) -> list[Path]:
    known = {*Image.registered_extensions(), *PLUG_INS}
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in known and path.is_file())


def _size(picture: Path, reading: Reading) -> tuple[int, int]:
    try:
        return upright_size(picture, reading)
    except ImageError as error:
        raise DataError(f"{picture}: {error}") from error


# YOLO


def _yolo(source: Path, reading: Reading) -> tuple[list[str], dict[str, Split]]:
    """Images with a text file of the same name: beside them, or below `labels` where they are below `images`.

    Splits are those of the lists or folders that the description names, else of the folders' names.
    """
    pictures, described = _pictures(source), _description(source)
    labels = {path: _label_file(source, path) for path in pictures}
    labels = {p: text for p, text in labels.items() if text is not None or "images" in p.relative_to(source).parts[:-1]}
    if pictures and not any(labels.values()):
        raise ConfigError(
            f"YOLO's labels must lie beside their images, or below `labels` as those below `images`, but {source} has "
            f"no text file for any of {len(pictures):,} images, such as {pictures[0].relative_to(source)}."
        )
    names, splits = _class_names(source, described), {split: Split() for split in _NAMES}
    stated = {path: split for split, paths in _stated_splits(source, described).items() for path in paths}
    sizes = {path: _size(path, reading) for path in labels}
    points = _keypoints(described)
    read = {path: list(_yolo_objects(text, sizes[path], points)) if text else [] for path, text in labels.items()}
    most = max((one["class"] for objects in read.values() for one in objects), default=-1)
    if names and most >= len(names):
        text = next(labels[path] for path, objects in read.items() if any(one["class"] == most for one in objects))
        raise DataError(f"{text}: a label has class {most}, but there are names of {len(names)} classes only.")
    for path, objects in read.items():
        split = stated.get(path.resolve()) or _split_of(path.relative_to(source))
        splits[split].add(source, path, sizes[path], objects)
    _left_out(len(pictures) - len(labels), "images without a text file, which lie in no folder `images`")
    forms = Counter(one["form"] for objects in read.values() for one in objects)
    _left_out(forms["keypoints"], "sets of keypoints, of which kpt_shape tells; their boxes are kept")
    if forms["turned"] and not forms["polygon"]:
        told = "%d labels are four corners, as of oriented boxes (OBB): `bbox` is the upright box around them"
        log.info(f"{told}, and they themselves are the `segmentation`.", forms["turned"])
    return names or [str(number) for number in range(most + 1)], splits


def _description(source: Path) -> Record:
    """What a YAML file beside the folders says: `data.yaml` or `dataset.yaml` before any other with names."""
    files = sorted(
        [*source.glob("*.yaml"), *source.glob("*.yml")], key=lambda path: (path.stem not in _DATA, path.name)
    )
    for path in files:
        try:
            content: Any = OmegaConf.to_container(OmegaConf.load(path))
        except Exception as error:  # yaml and omegaconf have families of errors of their own
            raise DataError(f"{path} must be YAML with names: {' '.join(str(error).split())}") from error
        if isinstance(content, dict) and content.get("names"):
            return {"file": path, **content}
    return {}


def _stated_splits(source: Path, described: Record) -> dict[str, set[Path]]:
    """The pictures that are stated to be of each split; of several, they are the last one's.

    Unless an earlier one would have none then: people without a test set state their training images twice.
    """
    stated = {split: set(_stated(source, described, split)) for split in _NAMES}
    for first, second in itertools.combinations(_NAMES, 2):
        if stated[first] and stated[first] <= stated[second]:
            stated[second] -= stated[first]
            log.info("%d images are stated as %s and as %s: they stay %s.", len(stated[first]), first, second, first)
    return stated


def _stated(source: Path, described: Record, split: str) -> Iterator[Path]:
    """The pictures of a split that the description, or a list such as `train.txt`, names."""
    given = next((described[name] for name in _NAMES[split] if described.get(name)), None)
    given = given or [f"{name}.txt" for name in _NAMES[split] if (source / f"{name}.txt").is_file()]
    for one in [given] if isinstance(given, str) else given:
        place = next((place for place in _places(source, described, str(one)) if place.exists()), None)
        if place is None:
            log.info("%s names %s, which is not there.", described.get("file", source), one)
        elif place.is_dir():
            yield from (path.resolve() for path in _pictures(place))
        else:
            for line in filter(None, map(str.strip, _text(place).splitlines())):
                yield from (path.resolve() for path in _places(source, described, line) if path.is_file())


def _places(source: Path, described: Record, path: str) -> list[Path]:
    """Where a path of a description may lead: exports name folders of the machine that made them."""
    root = source / str(described.get("path") or "")
    return [root / path, source / path, source / re.sub(r"^(\.\.?/)+", "", path), source / Path(path).name]


def _label_file(source: Path, picture: Path) -> Path | None:
    beside = picture.with_suffix(".txt")
    parts = list(beside.relative_to(source).parts)
    places = [beside]
    last = max((place for place, part in enumerate(parts[:-1]) if part.lower() == "images"), default=None)
    if last is not None:
        below = (source.joinpath(*parts[:last], labels, *parts[last + 1 :]) for labels in ("labels", "Labels"))
        places = [*below, beside]
    return next((place for place in places if place.is_file()), None)


def _keypoints(described: Record) -> int:
    """How many numbers follow each box: `kpt_shape` is [keypoints, numbers of each]."""
    shape = described.get("kpt_shape") or [0]
    if not isinstance(shape, list) or not all(type(side) is int and side >= 0 for side in shape):
        rule = "kpt_shape must be [number of keypoints, 2 or 3]"
        raise DataError(f"{described['file']}: {rule}, but got {shown(shape)}.")
    return math.prod(shape)


def _yolo_objects(text: Path, size: tuple[int, int], keypoints: int) -> Iterator[Record]:
    """The objects of a label file, of an image of `size` (width, height).

    form: what the line was, a box, one with keypoints, a polygon, or one of four corners, turned.
    """
    width, height = size
    for number, line in enumerate(_text(text).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            kind, *values = line.split()
            numbers = [float(value) for value in values]
            label = int(float(kind)) if float(kind).is_integer() else -1
            posed = keypoints > 0 and len(numbers) in (4 + keypoints, 5 + keypoints)
            boxed = posed or len(numbers) in (4, 5)  # the last of five is a score, or the id of a track
            places = numbers[:4] if boxed else numbers
            if label < 0 or len(places) < 4 or len(places) % 2 or not _fractions(places):
                raise ValueError
        except ValueError:
            rule = "a line must be a class and [x, y, width, height], or a polygon, as fractions (keypoints behind a "
            rule += "box are left out where data.yaml has their kpt_shape)"
            raise DataError(f"{text}: line {number}: {rule}, but got {shown(line)}") from None
        if boxed:
            x, y, w, h = places[0] * width, places[1] * height, places[2] * width, places[3] * height
            form = "keypoints" if posed else "box"
            yield {"class": label, "form": form, "bbox": [x - w / 2, y - h / 2, w, h]}
            continue
        xs, ys = [x * width for x in places[0::2]], [y * height for y in places[1::2]]
        polygon = [value for point in zip(xs, ys, strict=True) for value in point]
        box = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
        form = "turned" if len(xs) == 4 else "polygon"
        yield {"class": label, "form": form, "bbox": box, "segmentation": [polygon]}


def _fractions(numbers: list[float]) -> bool:
    """Whether they can be meant so: a tool may place a box half outside, but none counts pixels from 0 to 2.

    Nor does one write 2: that is how keypoints say that they are seen.
    """
    return all(-1 <= number < 2 for number in numbers)


def _class_names(source: Path, described: Record) -> list[str]:
    """From the description (a list or a mapping), or from a text file with a name a line; none where there is neither.

    Numbers that a mapping leaves out stand for themselves.
    """
    names = described.get("names")
    if isinstance(names, dict) and all(str(key).isdigit() for key in names):
        by_number = {int(key): str(name) for key, name in names.items()}
        return [by_number.get(number, str(number)) for number in range(max(by_number) + 1)]
    if isinstance(names, list):
        return [str(name) for name in names]
    if names:
        raise DataError(
            f"{described['file']}: names must be a list, or a mapping from numbers, but got {shown(names)}."
        )
    for name in ("classes.txt", "obj.names", "labels/classes.txt"):
        if (source / name).is_file():
            return [line.strip() for line in _text(source / name).splitlines() if line.strip()]
    return []


def _split_of(place: Path) -> str:
    """The split that a folder on the way to an image names, `train` where none does."""
    for part in place.parts[:-1]:
        for split, names in _NAMES.items():
            if part.lower().rstrip("0123456789") in names:  # as in train2017
                return split
    return "train"


# Pascal VOC


def _xml_files(source: Path) -> list[Path]:
    """Those with one image's annotation: other tools write XML, too."""
    files = sorted(path for path in source.rglob("*") if path.suffix.lower() == ".xml" and path.is_file())
    return [path for path in files if re.search(rb"<annotation[\s>]", path.read_bytes()[:1000])]


def _voc(source: Path, reading: Reading) -> tuple[list[str], dict[str, Split]]:
    """Every XML file with the image of its name; splits from `ImageSets/Main/{train,val,test}.txt`, else folders."""
    pictures: dict[str, list[Path]] = {}
    for path in _pictures(source):
        pictures.setdefault(path.stem, []).append(path)
    sets = {split: _listed(source, split) for split in _NAMES}
    splits, kinds, unlisted = {split: Split() for split in _NAMES}, dict[str, None](), 0
    for file in _xml_files(source):
        picture = _picture_of(file, pictures.get(file.stem, []), source)
        objects = list(_voc_objects(file))
        kinds |= dict.fromkeys(one["class"] for one in objects)
        split = next((name for name in _NAMES if {file.stem, picture.name} & sets[name]), None)
        if split is None and sets["train"]:
            unlisted += 1
            continue
        splits[split or _split_of(file.relative_to(source))].add(source, picture, _size(picture, reading), objects)
    classes = sorted(kinds)
    for one in (one for split in splits.values() for one in split.objects):
        one["class"] = classes.index(one["class"])
    _left_out(unlisted, "images that no list of ImageSets/Main names")
    _left_out(sum(map(len, pictures.values())) - len(_xml_files(source)), "images without an XML file")
    return classes, splits


def _picture_of(file: Path, alike: list[Path], source: Path) -> Path:
    """The image of an XML file: of those of its name the only one, the one beside it, or the one in a sister folder."""
    near = [path for path in alike if path.parent == file.parent] or [
        path for path in alike if path.parent.name == file.parent.name
    ]
    found = alike if len(alike) == 1 else near
    if len(found) == 1:
        return found[0]
    got = f"there are {', '.join(path.relative_to(source).as_posix() for path in alike)}" if alike else "there is none"
    raise DataError(f"{file}: one image of that name must exist below {source}, but {got}.")


def _listed(source: Path, split: str) -> set[str]:
    lines = [
        line
        for name in _NAMES[split]
        for file in source.glob(f"**/ImageSets/Main/{name}.txt")
        for line in _text(file).splitlines()
    ]
    return {line.split()[0] for line in lines if line.strip()}


def _voc_objects(file: Path) -> Iterator[Record]:
    try:
        root = _xml_root(file.read_bytes())
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # also of encodings
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


def _xml_root(content: bytes) -> ElementTree.Element:
    """The root; text in an encoding that the parser does not know, such as gb2312, is decoded first."""
    head = re.match(rb"<\?xml[^>]*encoding=[\"']([\w-]+)[^>]*\?>", content)
    if head is None:
        return ElementTree.fromstring(content)
    return ElementTree.fromstring(content[head.end() :].decode(head[1].decode()))
