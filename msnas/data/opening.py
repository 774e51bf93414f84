"""A data set opened for training: checked, split, decoded and resized once where memory allows."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msnas.data.dataset import DetectionDataset
from msnas.data.digest import data_digest
from msnas.data.faults import Fault, refusal
from msnas.data.image_groups import Groups, find_groups
from msnas.data.image_store import ImageStore
from msnas.data.records import AnnotationFile, ImageRecord
from msnas.data.settings import DataSettings
from msnas.data.source import Source, data_files, read_part, read_source
from msnas.data.splits import hold_out, search_val_size
from msnas.errors import DataError

__all__ = ["DetectionDataset", "Splits", "open_data", "open_split"]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Splits:
    """The parts of a data set. supernet_train, search_val and selection_val share the images of train.

    selection_val: what a search does not see, for scoring its finalists again; None where `data.selection` is 0. notes:
    said aloud. digest: see `data_digest`.
    """

    train: DetectionDataset
    supernet_train: DetectionDataset
    search_val: DetectionDataset
    val: DetectionDataset
    notes: tuple[str, ...] = ()
    selection_val: DetectionDataset | None = None
    digest: dict[str, Any] = field(default_factory=dict)


def open_data(settings: DataSettings, *, seed: int = 0, scoring: bool = True) -> Splits:
    """Read, check, split and decode a data set.

    seed: decides `search_val`, and `val` where there is no validation file. scoring: whether candidates will be scored,
    which a search_val without boxes cannot do. Raises ConfigError for paths that do not exist and DataError, in one
    line, for what `msnas check` calls refused. What is dropped, clipped or split off is said in the log and in `notes`.
    """
    source = read_source(settings)
    _refuse_faults(source.parts, source.files.root)  # before the images: a broken file is told at once
    stores = open_stores(settings, source)
    _refuse_faults(source.parts, source.files.root)
    notes = _repairs(source.faults)
    everything = DetectionDataset(source.train.images, source.train.categories, stores[0], masks=settings.masks)
    groups = find_groups(source.train, settings)
    notes += groups.said
    if source.val is not None:
        train = everything
        val = DetectionDataset(source.val.images, source.train.categories, stores[1], masks=settings.masks)
    else:
        kept, held = _test_split(source.train, groups, settings.val_fraction, seed, notes)
        train, val, groups = everything.subset(kept), everything.subset(held), groups.subset(kept)
    parts = _search_split(settings, train, groups, seed, notes)
    if scoring:
        _refuse_boxless(train, parts[0], parts[1])
    for note in notes:
        _log.info("%s", note)
    return Splits(train, *parts[:2], val, tuple(notes), parts[2], data_digest(source))


def open_split(settings: DataSettings, split: str, *, seed: int = 0, decode: bool = True) -> DetectionDataset:
    """One split alone, `train`, `val` or `test`, from its file; of the others' files none need exist.

    `val` without a file is what `open_data` splits off. decode: whether images are read now; else none is even looked
    at. Raises ConfigError where there is no such file, DataError for what is refused.
    """
    divided = split == "val" and data_files(settings).val is None
    part, categories = read_part(settings, "train" if divided else split)
    place = Path(settings.root) if settings.root is not None else part.files.annotations.parent
    _refuse_faults((part,), place)
    store = ImageStore(part, settings.short_side, settings.long_side, settings.decoding_processes)
    if decode:
        _fill(store, settings.workers, settings.memory_limit)
        _refuse_faults((part,), place)
    data = DetectionDataset(part.images, categories, store, masks=settings.masks)
    if not divided:
        return data
    groups = find_groups(part, settings)
    _refuse_faults((part,), place)  # an image that cannot be read may belong to another group
    return data.subset(_test_split(part, groups, settings.val_fraction, seed, [])[1])


def _test_split(
    part: AnnotationFile, groups: Groups, fraction: float, seed: int, notes: list[str]
) -> tuple[list[int], list[int]]:
    number = max(1, round(fraction * len(part.images)))
    kept, held = _held_out(part.images, number, seed, "val", groups, notes)
    if not held:
        raise DataError(f"A test part must be split off, but {_undivided(len(kept))}; give data.val_json.")
    notes.append(f"There is no validation file: {len(held)} of {len(part.images)} images (seed {seed}) are it.")
    return kept, held


def _held_out(
    images: Sequence[ImageRecord], number: int, seed: int, purpose: str, groups: Groups, notes: list[str]
) -> tuple[list[int], list[int]]:
    """`hold_out` by groups; where they leave nothing to hold out, near copies are divided all the same, and said."""
    kept, held = hold_out(images, number, seed, purpose, groups.of)
    if held or groups.of == groups.named:
        return kept, held
    kept, held = hold_out(images, number, seed, purpose, groups.named)
    if held:
        notes.append(f"All images look alike, so that {purpose} has near copies in training: its scores are too good.")
    return kept, held


def _undivided(images: int) -> str:
    if images < 2:
        return f"there is only {images} image"
    return f"all {images} images are copies of one picture, or one group"


def _refuse_faults(parts: Sequence[AnnotationFile], root: Path) -> None:
    faults = [fault for part in parts for fault in part.faults]
    if any(fault.severity == "refused" for fault in faults):
        raise refusal(faults, str(root))


def _search_split(
    settings: DataSettings, train: DetectionDataset, groups: Groups, seed: int, notes: list[str]
) -> tuple[DetectionDataset, DetectionDataset, DetectionDataset | None]:
    """supernet_train, search_val and selection_val."""
    wanted = search_val_size(len(train), settings.search_val)
    kept, held = _held_out(train.images, wanted, seed, "search_val", groups, notes)
    if wanted < settings.search_val.minimum:
        notes.append(f"Only {len(held)} of {len(train)} training images can score candidates: scores will be noisy.")
    search_val, selection_val = train.subset(held), None
    if settings.selection and len(held) > 1:
        number = round(settings.selection * len(held))
        first, second = hold_out(search_val.images, number, seed, "selection", groups.subset(held).of)
        search_val, selection_val = search_val.subset(first), search_val.subset(second) if second else None
    notes.append(_counted("search_val", search_val, train))
    if selection_val is not None:
        notes.append(_counted("selection_val", selection_val, train))
    return train.subset(kept), search_val, selection_val


def _counted(name: str, part: DetectionDataset, train: DetectionDataset) -> str:
    """What a part can score, in a line."""
    boxes = Counter(one for image in part.images for one in image.box_classes)
    known = {one for image in train.images for one in image.box_classes}
    absent = [part.classes[part.category_ids.index(id_)] for id_ in sorted(known - set(boxes))]
    without = f" None of: {', '.join(absent[:8])}{', ...' if len(absent) > 8 else ''}." if absent else ""
    classes = f"{len(boxes)} of {len(known)} classes"
    return f"{name}: {len(part)} of {len(train)} training images, {boxes.total()} boxes of {classes}.{without}"


def _refuse_boxless(train: DetectionDataset, supernet_train: DetectionDataset, search_val: DetectionDataset) -> None:
    """Raise DataError where there is nothing to learn from, or nothing to score candidates by."""
    for name, part in (("search_val, by which candidates are scored,", search_val), ("supernet_train", supernet_train)):
        if any(image.has_boxes for image in part.images):
            continue
        boxed = sum(image.has_boxes for image in train.images)
        crowds = sum(item.crowd for image in part.images for item in image.annotations)
        why = f"{boxed} of {len(train)} training images have any" if len(part) else _undivided(len(train))
        also = f", and crowd regions ({crowds}) do not count" if crowds else ""
        raise DataError(f"{name} must have boxes, but has none: {why}{also}. Annotate more images, or see data.group.")


def open_stores(settings: DataSettings, source: Source) -> list[ImageStore]:
    """The images of each file, decoded while the memory limit lasts, else only looked at; faults are noted."""
    limit, stores = settings.memory_limit, []
    for part in source.parts:
        store = ImageStore(part, settings.short_side, settings.long_side, settings.decoding_processes)
        _fill(store, settings.workers, limit)
        limit -= store.memory
        stores.append(store)
    return stores


def _fill(store: ImageStore, workers: int, limit: float) -> None:
    if store.needed <= limit:
        store.decode(workers)
    else:
        store.look(workers)


def _repairs(faults: Sequence[Fault]) -> list[str]:
    """One line for each rule that was repaired or is worth knowing, with its count and its first case."""
    groups: dict[tuple[str, str], list[Fault]] = {}
    for fault in faults:
        groups.setdefault((fault.file, fault.rule), []).append(fault)
    return [f"{file}: {rule}{_extent(group)}" for (file, rule), group in groups.items()]


def _extent(group: Sequence[Fault]) -> str:
    if not group[0].record:  # of the whole file
        return f" ({group[0].got})" if group[0].got else ""
    return f" ({len(group)} x, first {group[0].record})"
