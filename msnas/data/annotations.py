"""One COCO annotation file, read strictly: every record is checked, every fault noted, nothing is guessed.

Format: https://cocodataset.org/#format-data. What pycocotools accepts and cannot corrupt a result is accepted
too (whole numbers written 1.0, ids of any size, `area` or `iscrowd` missing or null); the rest is a fault.

What is read is kept: a change that reads something else of the same file raises `annotation_index.VERSION`.
"""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from msnas.data import fields
from msnas.data.faults import Severity, shown
from msnas.data.fields import MIN_SIDE, Box, FieldError
from msnas.data.images import ImageError, locate, upright_size
from msnas.data.layouts import SplitFiles, seen
from msnas.data.names import Names
from msnas.data.records import Annotation, AnnotationFile, ImageRecord
from msnas.data.segmentation import bounds, polygon_area, segmentation_fault, usable
from msnas.data.units import Objects, unit_fault

T = TypeVar("T")
# Without a mask, what `area` may be beside width x height: no less than a thin object's mask covers, and no more than
# the box with a pixel of rounding on each side.
_THINNEST_AREA = 0.1
_AUGMENTED = re.compile(r"(?:.*[/\\])?(.+)\.rf\.[0-9a-zA-Z]{16,}\.\w+")  # Roboflow's name of a copy, wherever it lies


def read_annotations(
    files: SplitFiles, *, masks: bool = False, group: str | None = None, repair_names: bool = False
) -> AnnotationFile:
    """The annotation file of a split with every fault of its text and records.

    Images are opened only for a size that is missing. masks: keep segmentations, and require one for every object.
    group: a key of the image records, dotted where it lies deeper, whose value is kept. repair_names: where a record's
    file is not there, take the one file that can be meant.
    """
    result = AnnotationFile(files)
    content = _load(result)
    if content is not None:
        _Reader(result, content, masks, group, Names(files.images) if repair_names else None).read()
    return result


GZIP = b"\x1f\x8b"  # how an archive begins
LONGEST = 10**6  # pixels a side


def _load(result: AnnotationFile) -> dict[str, Any] | None:
    """The file as one JSON object, or None with the fault noted. UTF-8 (BOM or not), UTF-16 or UTF-32."""
    path = result.files.annotations
    content: Any = None
    try:
        if not path.is_file():
            raise FieldError("", "the annotation file must exist", "a folder" if path.is_dir() else _nothing(path))
        text = path.read_bytes()
        if not text.strip():
            raise FieldError("", "the annotation file must not be empty", f"{len(text)} bytes")
        if text.startswith(GZIP):
            raise FieldError("", "the annotation file must be plain JSON", "a gzip archive; unpack it")
        content = json.loads(text)
        if not isinstance(content, dict):
            raise FieldError("", "the file must be one object with images, annotations, categories", shown(content))
        return content
    except FieldError as fault:
        result.note("", "", fault.rule, got=fault.got)
    except OSError as error:
        result.note("", "", "the annotation file must be readable", got=str(error.strerror))
    except UnicodeDecodeError as error:
        got = f"byte {error.object[error.start]:#x} at {error.start}, as in cp1252; save it as UTF-8"
        result.note("", "", "the file must be text in UTF-8, UTF-16 or UTF-32", got=got)
    except (ValueError, RecursionError) as error:
        hint = ": one object holds the whole file, not one a line" if "Extra data" in str(error) else ""
        result.note("", "", "the file must be valid JSON", got=f"{error}{hint}")
    return None


def _nothing(path: Path) -> str:
    around = next((folder for folder in path.parents if folder.is_dir()), None)
    if around is None:
        return "nothing there"
    return f"nothing there: {seen(around)}; name the files with data.train_json=, data.val_json=, data.images="


class _Place(NamedTuple):
    """An entry of a list in the file; its name is only made where a fault needs it."""

    key: str
    row: int
    entry: Any

    def __str__(self) -> str:
        has_id = isinstance(self.entry, dict) and "id" in self.entry
        return f"{self.key}[{self.row}]" + (f" (id {shown(self.entry['id'])})" if has_id else "")


class _Reader:
    """Walks one parsed file and fills an AnnotationFile."""

    def __init__(
        self, result: AnnotationFile, content: dict[str, Any], masks: bool, group: str | None, names: Names | None
    ) -> None:
        self.result, self.content, self.masks, self.group, self.names = result, content, masks, group, names
        self._objects = Objects()
        self._boxes: dict[tuple[int, int, Box], list[Any]] = {}  # image, class, box -> segmentations
        self._images: dict[int, ImageRecord] = {}  # also those with faults: their objects are not strangers
        self._found: dict[int, list[Annotation]] = {}  # by image

    def read(self) -> None:
        """All three lists, in the order in which they refer to each other."""
        self._read_categories()
        self._read_images()
        self._read_objects()
        fault = unit_fault(self._objects)
        if fault is not None:
            if fault.severity == "refused":  # what areas are beside such boxes says nothing of its own
                self.result.faults[:] = [one for one in self.result.faults if one.field != "area"]
            self.result.note("", "annotations", fault.rule, fault.severity, fault.got)
        if not self.result.refused and not any(image.has_boxes for image in self.result.images):
            crowds = sum(len(image.annotations) for image in self.result.images)
            got = f"only crowd regions ({crowds} with iscrowd 1), of which nothing is learned" if crowds else ""
            self.result.note("", "annotations", "at least one usable box must exist", got=got)

    def _read_categories(self) -> None:
        found: dict[int, str] = {}
        for where, record in self._records("categories"):
            id_ = self._unique_id(where, record, found)
            name = self._try(where, fields.text, record, "name")
            if id_ is None or name is None:
                continue
            if name in found.values():
                rule = "the name occurs twice; the classes are told apart by id"
                self.result.note(where, "name", rule, "noted", shown(name))
            found[id_] = name
        self.result.categories = dict(sorted(found.items()))

    def _read_images(self) -> None:
        file_names: set[str] = set()
        for where, record in self._records("images"):
            id_ = self._unique_id(where, record, self._images)
            name = self._try(where, fields.text, record, "file_name", "the file's path, relative to the image folder")
            if name is not None and self.names is not None:
                name = self._repaired(where, name, self.names)
            if name is not None and (record.get("width") is None or record.get("height") is None):
                record = record | self._measured(where, name)
            width = self._try(where, fields.integer, record, "width", 1, LONGEST)
            height = self._try(where, fields.integer, record, "height", 1, LONGEST)
            if name is not None and name in file_names:
                self.result.note(where, "file_name", "two records name the same file", "noted", shown(name))
            file_names.add(name or "")
            if id_ is None:
                continue
            objects = self._found[id_] = []
            image = ImageRecord(id_, name or "", width or 0, height or 0, where.row, objects)
            image.source, image.group = _source(record), _value(record, self.group)
            self._images[id_] = image
            if name is not None and width is not None and height is not None:
                self.result.images.append(image)

    def _repaired(self, where: object, name: str, names: Names) -> str:
        """The name, or where no such file is there the only one that can be meant, which is noted."""
        self.result.looked = True
        try:
            locate(names.folder, name, links=self.result.files.reading.links)
            return name
        except ImageError as error:
            found = names.candidate(name) if error.field == "file_name" else None
        if found is None or found == name:
            return name
        rule = "no such image: the one file that can be meant is taken"
        self.result.note(where, "file_name", rule, "repaired", f"{shown(name)}, took {shown(found)}")
        return found

    def _measured(self, where: object, name: str) -> dict[str, int]:
        """Width and height as the image file has them; nothing where it cannot be read, which is another's fault."""
        reading, self.result.looked = self.result.files.reading, True
        try:
            path = locate(self.result.files.images, name, links=reading.links)
            width, height = upright_size(path, reading)
        except ImageError:
            return {}
        self.result.note(where, "width, height", "the size is missing: read from the image file", "repaired")
        return {"width": width, "height": height}

    def _read_objects(self) -> None:
        seen: dict[int, None] = {}
        for where, record in self._records("annotations"):
            id_ = self._unique_id(where, record, seen)
            if id_ is not None:
                seen[id_] = None
            image_id = self._reference(where, record, "image_id", self._images, "images")
            category = self._reference(where, record, "category_id", self.result.categories, "categories")
            crowd = self._try(where, fields.crowd, record)
            image = None if image_id is None else self._images[image_id]
            segmentation = self._segmentation(where, record, image, bool(crowd))
            bbox = self._bbox(where, record, segmentation)
            if id_ is None or image is None or category is None or bbox is None or crowd is None:
                continue
            xyxy = self._clipped(where, bbox, image) if image.width and image.height else None
            if not crowd and image.width and image.height:
                self._objects.add(bbox, (image.width, image.height), record.get("area"), segmentation)
            if xyxy is None:
                continue
            area = self._area(where, record, bbox, xyxy, segmentation if usable(segmentation) else None, bool(crowd))
            item = Annotation(id_, category, bbox, xyxy, area, crowd, segmentation if self.masks else None)
            if not crowd and self._is_known(image, item):
                rule = "the same box of the same class is there already: dropped"
                self.result.note(where, "bbox", rule, "repaired", shown(list(bbox)))
            else:
                self._found[image.id].append(item)

    def _bbox(self, where: object, record: dict[str, Any], segmentation: Any) -> Box | None:
        """The box as the file has it; where it has none, the one around the segmentation."""
        around = bounds(segmentation) if record.get("bbox") in (None, []) and usable(segmentation) else None
        if around is None:
            return self._try(where, fields.bbox, record)
        self.result.note(where, "bbox", "the box is missing: the bounds of the segmentation are taken", "repaired")
        return around

    def _is_known(self, image: ImageRecord, item: Annotation) -> bool:
        """Whether the image has the object already."""
        key = (image.id, item.category_id, item.bbox)
        same = self._boxes.setdefault(key, [])
        known = item.segmentation in same
        same.append(item.segmentation)
        return known

    def _records(self, key: str) -> Iterator[tuple[_Place, dict[str, Any]]]:
        """(place, record) of every entry of a list that must be there; entries that are no object are noted."""
        entries = self._try("", fields.present, self.content, key)
        if key not in self.content:
            return
        if not isinstance(entries, list):
            self.result.note("", key, "the value must be a list", got=shown(entries))
            return
        if not entries:
            self.result.note("", key, "the list must not be empty")
        for row, record in enumerate(entries):
            place = _Place(key, row, record)
            if isinstance(record, dict):
                yield place, record
            else:
                self.result.note(place, "", "the record must be an object", got=shown(record))

    def _try(self, where: object, read: Callable[..., T], *arguments: Any) -> T | None:
        """A field, or None with its fault noted."""
        try:
            return read(*arguments)
        except FieldError as fault:
            self.result.note(where, fault.field, fault.rule, got=fault.got)
            return None

    def _unique_id(self, where: object, record: dict[str, Any], taken: dict[int, Any]) -> int | None:
        id_ = self._try(where, fields.integer, record, "id")
        if id_ is not None and id_ in taken:
            self.result.note(where, "id", "ids must be unique", got=shown(id_))
            return None
        return id_

    def _reference(
        self, where: object, record: dict[str, Any], key: str, known: dict[int, Any], target: str
    ) -> int | None:
        id_ = self._try(where, fields.integer, record, key)
        if id_ is not None and id_ not in known:
            self.result.note(where, key, f"the id must be one of `{target}`", got=shown(id_))
            return None
        return id_

    def _clipped(self, where: object, bbox: Box, image: ImageRecord) -> Box | None:
        """The box as xyxy inside its image; None where nothing of it is left. Both are noted."""
        x, y, width, height = bbox
        x0, y0 = max(x, 0.0), max(y, 0.0)
        x1, y1 = min(x + width, float(image.width)), min(y + height, float(image.height))
        lost = x1 - x0 < MIN_SIDE or y1 - y0 < MIN_SIDE
        over = max(-x, -y, x + width - image.width, y + height - image.height) > MIN_SIDE
        if width < MIN_SIDE or height < MIN_SIDE:
            rule = "the box has no area: dropped"
        elif lost:
            rule = "the box lies outside its image: dropped"
        elif over:
            rule = "the box reaches over the border: clipped"
        else:
            return x0, y0, x1, y1
        got = f"{shown(list(bbox))} in an image of {image.width} x {image.height}"
        self.result.note(where, "bbox", rule, "repaired", got)
        return None if lost else (x0, y0, x1, y1)

    def _area(
        self, where: object, record: dict[str, Any], bbox: Box, xyxy: Box, segmentation: Any, crowd: bool
    ) -> float:
        """The file's area, unless it is missing, far from what the box can hold, or far below what polygons cover."""
        boxed = (xyxy[2] - xyxy[0]) * (xyxy[3] - xyxy[1])
        if record.get("area") is None:
            self.result.note(where, "area", "the area is missing: width x height is taken", "repaired")
            return boxed
        area = self._try(where, fields.area, record)
        most = 1.02 * (max(bbox[2], xyxy[2] - xyxy[0]) + 1) * (max(bbox[3], xyxy[3] - xyxy[1]) + 1)
        if area is None or crowd:
            return boxed if area is None else area
        covered = min(boxed, sum(map(polygon_area, segmentation))) if isinstance(segmentation, list) else None
        least = 0 if isinstance(segmentation, dict) else _THINNEST_AREA * (boxed if covered is None else covered)
        if least <= area <= most:
            return area
        rule = "without a mask the area must be about width x height, which is taken"
        if segmentation is not None:
            rule = f"the area must be that of the mask: that of the {'box' if covered is None else 'polygons'} is taken"
        self.result.note(where, "area", rule, "repaired", f"{area:g} for a box of {bbox[2]:g} x {bbox[3]:g}")
        return boxed if covered is None else covered

    def _segmentation(self, where: object, record: dict[str, Any], image: ImageRecord | None, crowd: bool) -> Any:
        """The segmentation where it is faultless, else None. Only a detector with a mask branch minds its faults."""
        value = record.get("segmentation")
        fault = segmentation_fault(value, None if image is None else (image.height, image.width))
        if fault is not None:
            severity: Severity = "refused" if self.masks else "noted"
            self.result.note(where, "segmentation", fault, severity, shown(value))
            return None
        if self.masks and not crowd and not usable(value):
            rule = "training with masks needs a segmentation for every object"
            self.result.note(where, "segmentation", rule, got=shown(value))
        return value


def _source(record: dict[str, Any]) -> str | None:
    """The name of the picture that an augmented copy was made from, as Roboflow writes it."""
    extra, name = record.get("extra"), record.get("file_name")
    if isinstance(extra, dict) and isinstance(extra.get("name"), str) and extra["name"]:
        return str(extra["name"])
    copy = _AUGMENTED.fullmatch(name) if isinstance(name, str) else None
    return copy[1] if copy else None


def _value(record: Any, key: str | None) -> str | None:
    """The value of a dotted key as text; None where there is none."""
    for part in key.split(".") if key is not None else ():
        record = record.get(part) if isinstance(record, dict) else None
    return None if key is None or record is None else repr(record)
