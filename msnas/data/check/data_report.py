"""Is a data set sound, and what does it ask of the search? Everything `msnas check` knows, as one report.

Exit codes: 0 sound (what is dropped or clipped is listed and counted), 1 training would refuse it.
"""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from itertools import count
from typing import Any

import numpy as np

from msnas.data.check.duplicates import Thumbnails, near_duplicates
from msnas.data.check.object_sizes import (
    AnchorRecall,
    Fit,
    FitOptions,
    Group,
    Suggestion,
    anchor_recall,
    collect_boxes,
    empty_groups,
    group_shares,
    suggest,
)
from msnas.data.faults import Fault
from msnas.data.image_groups import MANY, Groups, find_groups, join_alike, small_copies, stacked
from msnas.data.images import holds_several
from msnas.data.layouts import passed_over
from msnas.data.records import AnnotationFile
from msnas.data.settings import DataSettings
from msnas.data.source import Source, read_source

_BLANK = 8  # of 255: a picture whose brightest and darkest spots differ by less shows nothing


@dataclass(frozen=True)
class SplitCount:
    """One split: its file and what it holds. boxes: usable ones; empty: images without any."""

    name: str
    file: str
    images: int
    boxes: int
    crowds: int
    empty: int


@dataclass(frozen=True)
class ClassCount:
    """One class and its usable boxes in each split."""

    id: int
    name: str
    train: int
    val: int


@dataclass(frozen=True)
class SizeQuantiles:
    """Sides of the boxes (square root of the area) at five quantiles: original pixels, and after resizing."""

    quantiles: tuple[float, ...]
    original: tuple[float, ...]
    resized: tuple[float, ...]


@dataclass(frozen=True)
class SharedPicture:
    """The same picture in both splits, or nearly: file names and correlation."""

    train: str
    val: str
    similarity: float


@dataclass(frozen=True)
class CheckReport:
    """All that was found. What needs boxes (sizes, groups, recalls, suggestion) is empty or None without any.

    notes: those that hold whatever the sizes; `all_notes` has the others too.
    """

    root: str
    short_side: int
    long_side: int
    splits: tuple[SplitCount, ...]
    classes: tuple[ClassCount, ...]
    faults: tuple[Fault, ...]
    sizes: SizeQuantiles | None
    groups: tuple[Group, ...]
    recalls: tuple[AnchorRecall, ...]
    configured: Fit
    options: FitOptions
    suggestion: Suggestion | None
    duplicates: tuple[SharedPicture, ...]
    notes: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Whether training accepts the data set."""
        return not self.count("refused")

    @property
    def exit_code(self) -> int:
        """0 sound, 1 not."""
        return 0 if self.sound else 1

    @property
    def all_notes(self) -> tuple[str, ...]:
        """The notes, and what there is to say of the groups."""
        return tuple(filter(None, (*self.notes, empty_groups(self.groups))))

    def count(self, severity: str) -> int:
        """How many faults are refused, repaired or noted."""
        return sum(fault.severity == severity for fault in self.faults)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values for JSON; strides of heads as text such as `4,8,16,32,64`."""
        content = {"sound": self.sound} | asdict(self)
        content["counts"] = {severity: self.count(severity) for severity in ("refused", "repaired", "noted")}
        content["notes"] = self.all_notes
        content["recalls"] = [_recall_to_dict(recall) for recall in self.recalls]
        return content

    def to_json(self) -> str:
        """The report as one line of strict JSON."""
        return json.dumps(self.to_dict(), allow_nan=False)


def check_data(
    settings: DataSettings,
    fit: Fit | None = None,
    options: FitOptions | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> CheckReport:
    """Read everything, decode every image, and report. progress(done, total) is called for each image.

    fit: the configured settings that the boxes are held against; None: what follows from the short side. options: which
    of them can be chosen; None: all, as in MSNAS's own spaces under two-stage heads.

    Raises ConfigError where the root or an override does not exist; every other fault is in the report.
    """
    source = read_source(settings)
    thumbnails = _look(source, settings.workers, progress)
    groups_of = _groups(source.train, thumbnails[0], settings)
    _note_too_few(source, groups_of)
    return CheckReport(
        root=str(source.files.root),
        splits=tuple(_count(name, part) for name, part in zip(("train", "val"), source.parts, strict=False)),
        classes=_classes(source),
        faults=tuple(source.faults),
        duplicates=_shared(source, thumbnails),
        notes=(*groups_of.said, *_notes(source, settings)),
        **_fitting(source, settings, fit, options),
    )


def refitted(report: CheckReport, settings: DataSettings, fit: Fit, options: FitOptions) -> CheckReport:
    """The report of the same data under other settings of their size; pictures are not looked at again."""
    return replace(report, **_fitting(read_source(settings), settings, fit, options))


def _fitting(source: Source, settings: DataSettings, fit: Fit | None, options: FitOptions | None) -> dict[str, Any]:
    """What a report says of sizes, and of the settings that fit them."""
    images = [image for part in source.parts for image in part.images]
    boxes = collect_boxes(images, settings.short_side, settings.long_side)
    fit, options = fit or Fit.of(settings.short_side), options or FitOptions()
    found: dict[str, Any] = {"short_side": settings.short_side, "long_side": settings.long_side}
    found |= {"configured": fit, "options": options, "sizes": None, "groups": (), "recalls": (), "suggestion": None}
    if not len(boxes.xyxy):
        return found
    recalls = tuple(
        anchor_recall(boxes, base_stride, fit.groups.anchors, finest) for base_stride, finest in options.starts(fit)
    )
    return found | {
        "sizes": _sizes(source, boxes.areas),
        "groups": tuple(group_shares(boxes, fit.groups)),
        "recalls": recalls,
        "suggestion": suggest(boxes, fit, recalls, options),
    }


def _look(source: Source, workers: int, progress: Callable[[int, int], None] | None) -> list[Thumbnails]:
    """A small copy of every image that can be read (zeros for the rest), by split; faults are noted."""
    total, numbers = sum(len(part.images) for part in source.parts), count(1)

    def tick() -> None:
        number = next(numbers)  # one step, so that threads cannot count an image twice
        if progress is not None:
            progress(number, total)

    result: list[Thumbnails] = []
    for part in source.parts:
        small = small_copies(part, workers, tick)
        result.append(stacked(small))
        for image, one in zip(part.images, small, strict=True):
            if one is None:
                continue
            if int(one.max()) - int(one.min()) < _BLANK and image.width * image.height > 1:
                part.note(image.name, "file_name", "the picture is of one colour", "noted", repr(image.file_name))
            if holds_several(part.files.images / image.file_name, part.files.reading):
                rule = "the file holds several pictures: the first is taken"
                part.note(image.name, "file_name", rule, "noted", repr(image.file_name))
    return result


def _count(name: str, part: AnnotationFile) -> SplitCount:
    boxes = [len(image.box_classes) for image in part.images]
    crowds = sum(len(image.annotations) for image in part.images) - sum(boxes)
    return SplitCount(name, part.files.label, len(boxes), sum(boxes), crowds, boxes.count(0))


def _classes(source: Source) -> tuple[ClassCount, ...]:
    counts = [Counter(one for image in part.images for one in image.box_classes) for part in source.parts]
    val = counts[1] if len(counts) > 1 else Counter[int]()
    return tuple(ClassCount(id_, name, counts[0][id_], val[id_]) for id_, name in source.train.categories.items())


def _sizes(source: Source, resized_areas: Any) -> SizeQuantiles:
    quantiles = (0.05, 0.25, 0.5, 0.75, 0.95)
    original = [
        ((item.xyxy[2] - item.xyxy[0]) * (item.xyxy[3] - item.xyxy[1])) ** 0.5
        for part in source.parts
        for image in part.images
        for item in image.annotations
        if not item.crowd
    ]
    before, after = (np.quantile(sides, quantiles).tolist() for sides in (original, np.sqrt(resized_areas)))
    return SizeQuantiles(quantiles, tuple(before), tuple(after))


def _shared(source: Source, thumbnails: list[Thumbnails]) -> tuple[SharedPicture, ...]:
    if source.val is None:
        return ()
    return tuple(
        SharedPicture(
            source.train.images[pair.first].file_name,
            source.val.images[pair.second].file_name,
            pair.similarity,
        )
        for pair in near_duplicates(*thumbnails)
    )


def _groups(part: AnnotationFile, thumbnails: Thumbnails, settings: DataSettings) -> Groups:
    """The groups that training will find, from pictures that have been read already."""
    groups = find_groups(part, settings, looks=False)
    looks = settings.near_copies and settings.shapes is None and len(part.images) <= MANY
    return join_alike(groups, part, thumbnails) if looks else groups


def _note_too_few(source: Source, groups: Groups) -> None:
    """Refuse data that no search can divide: training, search_val and the reported split need boxes each."""
    part, needed = source.train, 2 + (source.val is None)
    boxed = {groups.named[index] for index, image in enumerate(part.images) if image.has_boxes}
    if not part.refused and len(boxed) < needed:
        also = " and to report on" if source.val is None else ""
        rule = f"{needed} images with boxes, no copies, must exist: to train on, to score candidates{also}"
        part.note("", "images", rule, got=str(len(boxed)))


def _notes(source: Source, settings: DataSettings) -> tuple[str, ...]:
    notes: list[str] = []
    if source.val is None:
        notes.append(f"There is no validation file: training will split {settings.val_fraction:.0%} of the images off.")
    others = passed_over(source.files) if settings.root is not None and settings.val_json is None else []
    if others:
        listed = f"{', '.join(map(str, others[:3]))}{', ...' if len(others) > 3 else ''}"
        notes.append(f"Named as validation and not read: {listed}; data.val_json=FILE data.val_images=FOLDER read one.")
    idle = [item.name for item in _classes(source) if item.train == 0]
    if idle and source.train.images:
        notes.append(f"{len(idle)} of {len(source.train.categories)} classes have no box to learn from.")
    return tuple(notes)


def _recall_to_dict(recall: AnchorRecall) -> dict[str, Any]:
    def text(heads: tuple[int, ...]) -> str:
        return ",".join(map(str, heads))

    ranked = sorted(recall.choices.items(), key=lambda item: -item[1])
    return asdict(recall) | {
        "best": text(recall.best),
        "worst": text(recall.worst),
        "choices": {text(heads): value for heads, value in ranked},
    }
