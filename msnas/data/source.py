"""A data set as its annotation files tell it, both splits checked against each other; images opened on demand."""

import gc
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from msnas.data.annotation_index import indexed
from msnas.data.annotations import read_annotations
from msnas.data.depth import find_white
from msnas.data.faults import Fault, Severity, shown
from msnas.data.images import ImageError, locate
from msnas.data.layouts import DataFiles, SplitFiles, find_files, seen
from msnas.data.names import Names
from msnas.data.records import AnnotationFile, ImageRecord
from msnas.data.settings import DataSettings
from msnas.data.shapes.shapes_folder import shapes_folder
from msnas.errors import ConfigError

T = TypeVar("T")
_SIZES: dict[tuple[str, str, int, int], list[tuple[int, int]]] = {}  # by annotation file, images, bytes, time of change


@dataclass(frozen=True, slots=True)
class Source:
    """The parsed files of a data set. `val` is None where there is none."""

    files: DataFiles
    train: AnnotationFile
    val: AnnotationFile | None

    @property
    def parts(self) -> tuple[AnnotationFile, ...]:
        """The annotation files that exist."""
        return (self.train,) if self.val is None else (self.train, self.val)

    @property
    def faults(self) -> list[Fault]:
        """Every fault noted so far, of both files."""
        return [fault for part in self.parts for fault in part.faults]


def read_source(settings: DataSettings) -> Source:
    """Read and cross-check the annotation files (drawing the shapes first). Raises ConfigError for bad paths only."""
    files = data_files(settings)
    train = _read(files.train, settings)
    val = None if files.val is None else _read(files.val, settings)
    if val is not None and train.categories and val.categories:
        _compare_categories(train, val)
        _note_shared(train, val)
    parts = (train,) if val is None else (train, val)
    _scale_deep_images(parts, settings)
    return Source(files, train, val)


def read_part(settings: DataSettings, split: str) -> tuple[AnnotationFile, dict[int, str]]:
    """The annotation file of `train`, `val` or `test`, and the classes: the training file's where there is one.

    Raises ConfigError where the split has no file.
    """
    files = data_files(settings)
    own: SplitFiles | None = getattr(files, split)
    if own is None:
        raise ConfigError(
            f"There must be annotations of the {split} split, but {seen(files.root)}; give data.{split}_json."
        )
    part, parts = _read(own, settings), list[AnnotationFile]()
    if split != "train" and files.train.annotations.is_file():
        parts = [_read(files.train, settings)]
        _compare_categories(parts[0], part)
    _scale_deep_images([part, *parts], settings)
    return part, (parts or [part])[0].categories


def data_files(settings: DataSettings) -> DataFiles:
    """The files of a data set, drawn first where it is drawn. Raises ConfigError for paths that do not exist."""
    return find_files(settings, None if settings.shapes is None else shapes_folder(settings))


def image_sizes(settings: DataSettings) -> list[tuple[int, int]]:
    """(height, width) of every training image as the annotations tell it, pixels. Nothing is drawn for shapes.

    Raises ConfigError where there are none.
    """
    if settings.shapes is not None:
        return [(settings.shapes.size, settings.shapes.size)]
    files = find_files(settings).train
    try:
        state = files.annotations.stat()
    except OSError:
        state = None  # which the reader has a better word for
    known = None if state is None else (str(files.annotations), str(files.images), state.st_size, state.st_mtime_ns)
    if known is None or known not in _SIZES:
        part = _read(files, settings)
        sizes = [(image.height, image.width) for image in part.images]
        if not sizes:
            told = next((f": {fault}" for fault in part.faults if fault.severity == "refused"), ".")
            raise ConfigError(f"Image sizes cannot be read from {files.annotations}{told} Or give input=HxW.")
        if known is None:
            return sizes
        _SIZES[known] = sizes
    return list(_SIZES[known])


def _read(files: SplitFiles, settings: DataSettings) -> AnnotationFile:
    options: dict[str, Any] = {
        "masks": settings.masks,
        "group": settings.group,
        "repair_names": settings.repair_names,
    }
    with _collector_paused():
        return indexed(files, partial(read_annotations, files, **options), **options)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """No search for cyclic garbage meanwhile: of a large file's million objects it takes half the time, for nothing."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def open_images(
    part: AnnotationFile,
    action: Callable[[ImageRecord, Path], T],
    workers: int,
    progress: Callable[[], None] = lambda: None,
    *,
    images: Sequence[ImageRecord] | None = None,
) -> list[T | None]:
    """`action(record, path)` for every image, in file order; what raises ImageError is None and a noted fault.

    images: those of the file that are opened; None: all.
    """
    folder, images = part.files.images, part.images if images is None else images
    if images and not folder.is_dir():
        got, around = shown(str(folder)), next((parent for parent in folder.parents if parent.is_dir()), None)
        if around is not None:
            got += f": {seen(around)}; name it with data.images=, data.train_images= or data.val_images="
        part.faults.append(Fault(part.files.label, "", "", "the image folder must exist", "refused", got))
        return [None] * len(images)

    def one(record: ImageRecord) -> T | ImageError:
        try:
            return action(record, locate(folder, record.file_name, links=part.files.reading.links))
        except ImageError as error:
            return error
        finally:
            progress()

    answers: Iterable[T | ImageError]
    if workers > 1:
        with ThreadPoolExecutor(workers) as pool:
            answers = list(pool.map(one, images))
    else:
        answers = map(one, images)
    results: list[T | None] = []
    names: Names | None = None
    for record, answer in zip(images, answers, strict=True):
        if isinstance(answer, ImageError):
            names = names or Names(folder)
            got = answer.got + _meant(names, record.file_name)
            part.faults.append(Fault(part.files.label, record.name, answer.field, answer.rule, "refused", got))
            results.append(None)
        else:
            results.append(answer)
    return results


def _meant(names: Names, file_name: str) -> str:
    """The file that a record may mean, as the end of a message; "" where none or several can be."""
    found = names.candidate(file_name)
    if found is None or found == file_name:
        return ""
    return f"; {shown(found)} may be meant: correct the name, or give data.repair_names=true"


def _scale_deep_images(parts: Sequence[AnnotationFile], settings: DataSettings) -> None:
    """Find the value of white where it is not given and images are of more than 8 bits, and say it."""
    if settings.white is not None or settings.shapes is not None:
        return
    white, colour = find_white(parts, settings.workers)
    for part in parts:
        if white is not None:
            part.files = replace(part.files, reading=replace(part.files.reading, white=white))
            rule = f"16-bit images hold no more than {white}, which is taken for white: data.white={white}"
            part.note("", "file_name", rule, "noted")
        if colour is not None:
            rule = (
                f"16-bit colour images hold less than {256 * (colour + 1)}, of which the high byte is read: they are "
            )
            part.note("", "file_name", f"{rule}nearly black; convert them to 8 bits", "noted")


def _compare_categories(train: AnnotationFile, val: AnnotationFile) -> None:
    """A class id must mean the same in both files, and nothing can be learned of a class that is only in val."""
    used = Counter(item.category_id for image in val.images for item in image.annotations)
    for id_, name in val.categories.items():
        where = f"categories (id {id_})"
        if id_ in train.categories and train.categories[id_] != name:
            got = f"{shown(name)} here and {shown(train.categories[id_])} there"
            val.note(where, "name", f"an id must have the same name as in {train.files.label}", got=got)
        elif id_ not in train.categories:
            got = f"{shown(name)} with {used[id_]} boxes"
            severity: Severity = "refused" if used[id_] else "noted"
            val.note(where, "id", f"the class must be one of {train.files.label}'s", severity, got)


def _note_shared(train: AnnotationFile, val: AnnotationFile) -> None:
    """What is in both files makes the score too good: the same file, a copy of one picture, a shared `data.group`."""
    keys: tuple[tuple[str, Callable[[AnnotationFile, ImageRecord], Hashable]], ...] = (
        ("the file is", lambda part, image: (part.files.images, image.path)),
        ("a copy of the same picture is", lambda _, image: image.source),
        ("an image of the same data.group is", lambda _, image: image.group),
    )
    known = [{key(train, image) for image in train.images} - {None} for _, key in keys]
    for image in val.images:
        for (what, key), there in zip(keys, known, strict=True):
            if key(val, image) in there:
                rule = f"{what} also in {train.files.label}: its score will be too good"
                val.note(image.name, "file_name", rule, "noted", shown(image.file_name))
                break
