"""What an annotation file holds: images, their objects, and what was wrong.

The objects of a large file may lie in arrays, mapped into memory (see `annotation_index`): then each is made when asked
for.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from msnas.data.faults import Fault, Severity
from msnas.data.fields import Box
from msnas.data.layouts import SplitFiles

OBJECT = np.dtype(
    [
        *((name, "<i8") for name in ("id", "category_id")),
        *((name, "<f8") for name in ("x", "y", "width", "height", "x0", "y0", "x1", "y1", "area")),
        ("crowd", "?"),
        *((name, "<i8") for name in ("start", "end")),  # of the segmentation, in the bytes of all; equal: None
    ]
)


@dataclass(frozen=True, slots=True)
class Annotation:
    """One object. bbox: xywh in pixels, as the file has it; xyxy: clipped to its image; area: pixels."""

    id: int
    category_id: int
    bbox: Box
    xyxy: Box
    area: float
    crowd: bool
    segmentation: Any = None


class Columns(NamedTuple):
    """The objects of a file in arrays. objects: [n] of OBJECT, by image; text: the bytes of segmentations as JSON."""

    objects: NDArray[np.void]
    text: NDArray[np.uint8]


class MappedAnnotations(Sequence[Annotation]):
    """The objects `first` to `end` of `columns`, made anew each time they are asked for.

    box_classes: see `ImageRecord`; what most passes over all images want.
    """

    __slots__ = ("_columns", "_end", "_first", "box_classes")

    def __init__(self, columns: Columns, first: int, end: int, box_classes: Sequence[int]) -> None:
        self._columns, self._first, self._end, self.box_classes = columns, first, end, box_classes

    def __len__(self) -> int:
        return self._end - self._first

    def __iter__(self) -> Iterator[Annotation]:
        rows = self._columns.objects[self._first : self._end].tolist()
        for id_, category, x, y, width, height, x0, y0, x1, y1, area, crowd, start, end in rows:
            segmentation = json.loads(self._columns.text[start:end].tobytes()) if end > start else None
            yield Annotation(id_, category, (x, y, width, height), (x0, y0, x1, y1), area, crowd, segmentation)

    @overload
    def __getitem__(self, index: int) -> Annotation: ...
    @overload
    def __getitem__(self, index: slice) -> list[Annotation]: ...
    def __getitem__(self, index: int | slice) -> Annotation | list[Annotation]:
        return list(self)[index]

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented


@dataclass(slots=True)
class ImageRecord:
    """One image of the file and its objects.

    width, height: pixels, as stated; row: place in `images`; source: the picture that it is a copy of; group: its value
    of `data.group`. Where images share one, no split divides them.
    """

    id: int
    file_name: str
    width: int
    height: int
    row: int
    annotations: Sequence[Annotation] = ()
    source: str | None = None
    group: str | None = None

    @property
    def path(self) -> str:
        """The file name without what can be written in two ways, such as `./` before it."""
        if "/" not in self.file_name and "\\" not in self.file_name:
            return self.file_name  # the other way takes seconds of all COCO images
        return PurePosixPath(self.file_name.replace("\\", "/")).as_posix()

    @property
    def name(self) -> str:
        """How faults call this record."""
        return f"images[{self.row}] (id {self.id})"

    @property
    def box_classes(self) -> Sequence[int]:
        """The class of each object that is no crowd region, in their order."""
        if isinstance(self.annotations, MappedAnnotations):
            return self.annotations.box_classes
        return [item.category_id for item in self.annotations if not item.crowd]

    @property
    def has_boxes(self) -> bool:
        """Whether there is anything to learn: an object that is no crowd region."""
        return bool(self.box_classes)


@dataclass(slots=True)
class AnnotationFile:
    """All that one file holds: categories (id -> name, by id), images in file order, and what was wrong.

    looked: whether image files had a say, for a size that is missing or a name to repair; digest: see `digested`.
    """

    files: SplitFiles
    categories: dict[int, str] = field(default_factory=dict)
    images: list[ImageRecord] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    looked: bool = False
    digest: dict[str, Any] | None = None

    @property
    def refused(self) -> bool:
        """Whether training must not start on this file."""
        return any(fault.severity == "refused" for fault in self.faults)

    def note(self, record: object, field: str, rule: str, severity: Severity = "refused", got: str = "") -> None:
        """Add a fault of this file; `record` is named by its text."""
        self.faults.append(Fault(self.files.label, str(record), field, rule, severity, got))

    def digested(self) -> dict[str, Any]:
        """The number of images and boxes, and a hash of the records that training uses; made once.

        Neither the order nor the layout of the file matters, and pixels are no part of it.
        """
        if self.digest is None:
            sha = hashlib.sha256()
            for image in sorted(self.images, key=lambda image: image.id):
                sha.update(repr((image.id, image.file_name, image.width, image.height)).encode())
                for item in sorted(image.annotations, key=lambda item: item.id):
                    record = (item.id, item.category_id, item.bbox, item.area, item.crowd, item.segmentation)
                    sha.update(repr(record).encode())
            boxes = sum(len(image.box_classes) for image in self.images)
            self.digest = {"images": len(self.images), "boxes": boxes, "sha256": sha.hexdigest()[:16]}
        return self.digest
