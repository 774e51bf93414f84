"""A data set as its annotation files tell it, both splits checked against each other; images opened on
demand.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from msnas.data.annotations import AnnotationFile, ImageRecord, read_annotations
from msnas.data.faults import Fault, Severity, shown
from msnas.data.files import DataFiles, find_files
from msnas.data.images import ImageError, locate
from msnas.data.settings import DataSettings
from msnas.data.shapes.shapes_folder import shapes_folder

T = TypeVar("T")


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
    """Read and cross-check the annotation files (drawing the shapes first). Raises ConfigError for bad paths
    only.
    """
    files = find_files(settings, None if settings.shapes is None else shapes_folder(settings))
    train = read_annotations(files.train, masks=settings.masks)
    val = None if files.val is None else read_annotations(files.val, masks=settings.masks)
    if val is not None and train.categories and val.categories:
        _compare_categories(train, val)
        _note_shared_files(train, val)
    return Source(files, train, val)


def open_images(
    part: AnnotationFile,
    action: Callable[[ImageRecord, Path], T],
    workers: int,
    progress: Callable[[], None] = lambda: None,
) -> list[T | None]:
    """`action(record, path)` for every image, in file order; what raises ImageError is None and a noted
    fault.

    Threads, not processes: decoding and resizing leave Python's lock, and pixels need no copy between address
    spaces.
    """
    folder = part.files.images
    if part.images and not folder.is_dir():
        part.faults.append(
            Fault(part.files.label, "", "", "the image folder must exist", "refused", shown(str(folder)))
        )
        return [None] * len(part.images)

    def one(record: ImageRecord) -> T | ImageError:
        try:
            return action(record, locate(folder, record.file_name))
        except ImageError as error:
            return error
        finally:
            progress()

    answers: Iterable[T | ImageError]
    if workers > 1:
        with ThreadPoolExecutor(workers) as pool:
            answers = list(pool.map(one, part.images))
    else:
        answers = map(one, part.images)
    results: list[T | None] = []
    for record, answer in zip(part.images, answers, strict=True):
        if isinstance(answer, ImageError):
            part.faults.append(Fault(part.files.label, record.name, answer.field, answer.rule, "refused", answer.got))
            results.append(None)
        else:
            results.append(answer)
    return results


def _compare_categories(train: AnnotationFile, val: AnnotationFile) -> None:
    """A class id must mean the same in both files, and nothing can be learned of a class that is only in
    val.
    """
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


def _note_shared_files(train: AnnotationFile, val: AnnotationFile) -> None:
    known = {(train.files.images, image.file_name) for image in train.images}
    for image in val.images:
        if (val.files.images, image.file_name) in known:
            rule = f"the file is also in {train.files.label}: its score will be too good"
            val.faults.append(Fault(val.files.label, image.name, "file_name", rule, "noted", shown(image.file_name)))
