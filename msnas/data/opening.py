"""A data set opened for training: checked, split, decoded and resized once where memory allows."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from msnas.data.dataset import DetectionDataset
from msnas.data.faults import Fault, refusal
from msnas.data.settings import DataSettings
from msnas.data.source import Source, read_source
from msnas.data.splits import hold_out, search_val_size
from msnas.data.store import ImageStore
from msnas.errors import DataError

__all__ = ["DetectionDataset", "Splits", "open_data"]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Splits:
    """The four parts of a data set. supernet_train and search_val share the images of train; notes: said
    aloud.
    """

    train: DetectionDataset
    supernet_train: DetectionDataset
    search_val: DetectionDataset
    val: DetectionDataset
    notes: tuple[str, ...] = ()


def open_data(settings: DataSettings, *, seed: int = 0) -> Splits:
    """Read, check, split and decode a data set.

    seed: decides `search_val`, and `val` where there is no validation file. Raises ConfigError for paths that
    do not exist and DataError, in one line, for what `msnas check` calls refused. What is dropped, clipped or
    split off is said in the log and in `notes`.
    """
    source = read_source(settings)
    _refuse_faults(source)  # before the images: a broken file is told at once
    stores = open_stores(settings, source)
    _refuse_faults(source)
    notes = _repairs(source.faults)
    categories = source.train.categories
    everything = DetectionDataset(source.train.images, categories, stores[0], masks=settings.masks)
    if source.val is not None:
        train, val = (
            everything,
            DetectionDataset(source.val.images, categories, stores[1], masks=settings.masks),
        )
    else:
        train, val = _test_split(everything, settings.val_fraction, seed)
        notes.append(f"There is no validation file: {len(val)} of {len(everything)} images (seed {seed}) are it.")
    return _search_split(settings, train, val, seed, notes)


def reported_split(settings: DataSettings, *, seed: int) -> DetectionDataset:
    """The `val` of `open_data`, with no image decoded. Raises as it does for paths; faults of the data are let be."""
    source = read_source(settings)
    part = source.val or source.train
    store = ImageStore(part, settings.short_side, settings.long_side)
    data = DetectionDataset(part.images, source.train.categories, store, masks=settings.masks)
    return data if source.val is not None else _test_split(data, settings.val_fraction, seed)[1]


def _test_split(everything: DetectionDataset, fraction: float, seed: int) -> tuple[DetectionDataset, DetectionDataset]:
    kept, held = hold_out(everything.images, max(1, round(fraction * len(everything))), seed, "val")
    if not held:
        raise DataError(f"A test part must be split off, but there are only {len(kept)} images; give data.val_json.")
    return everything.subset(kept), everything.subset(held)


def _refuse_faults(source: Source) -> None:
    if any(fault.severity == "refused" for fault in source.faults):
        raise refusal(source.faults, str(source.files.root))


def _search_split(
    settings: DataSettings, train: DetectionDataset, val: DetectionDataset, seed: int, notes: list[str]
) -> Splits:
    wanted = search_val_size(len(train), settings.search_val)
    kept, held = hold_out(train.images, wanted, seed, "search_val")
    if wanted < settings.search_val.minimum:
        notes.append(f"Only {len(held)} of {len(train)} training images can score candidates: scores will be noisy.")
    supernet_train, search_val = train.subset(kept), train.subset(held)
    if not settings.keep_empty:
        train, supernet_train = _with_boxes(train), _with_boxes(supernet_train)
    for note in notes:
        _log.info("%s", note)
    return Splits(train, supernet_train, search_val, val, tuple(notes))


def open_stores(settings: DataSettings, source: Source) -> list[ImageStore]:
    """The images of each file, decoded while the memory limit lasts, else only looked at; faults are
    noted.
    """
    limit, stores = settings.memory_limit, []
    for part in source.parts:
        store = ImageStore(part, settings.short_side, settings.long_side)
        if store.needed <= limit:
            store.decode(settings.workers)
            limit -= store.needed
        else:
            store.look(settings.workers)
        stores.append(store)
    return stores


def _with_boxes(data: DetectionDataset) -> DetectionDataset:
    return data.subset([index for index, image in enumerate(data.images) if image.has_boxes])


def _repairs(faults: Sequence[Fault]) -> list[str]:
    """One line for each rule that was repaired or is worth knowing, with its count and its first case."""
    groups: dict[tuple[str, str], list[Fault]] = {}
    for fault in faults:
        groups.setdefault((fault.file, fault.rule), []).append(fault)
    return [f"{file}: {rule} ({len(group)} x, first {group[0].record})" for (file, rule), group in groups.items()]
