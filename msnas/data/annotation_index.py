"""What was read of a large annotation file, kept in the cache folder: later starts map it and parse nothing.

An index holds for the very file that it was made of: its path, size, times of change, and the options that decide what
is read. One that is damaged, cannot be written or does not fit is passed over. There is one file for each of a path's
options, so that a changed file's index takes the place of the old one.

Five whole numbers of 8 bytes (CRC-32 of what follows, and the bytes in each part), then the parts: a JSON object, the
images (`_IMAGE`), their objects (`OBJECT`), and the segmentations as JSON.
"""

import fcntl
import hashlib
import json
import logging
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from msnas.data.faults import Fault
from msnas.data.layouts import SplitFiles
from msnas.data.records import OBJECT, AnnotationFile, Columns, ImageRecord, MappedAnnotations
from msnas.files import cache_folder, written

SMALLEST = 4_000_000  # bytes: a second of parsing; smaller files need no index
VERSION = 3  # raised when `read_annotations` makes something else of the same file, or an index looks otherwise
SETTLED = 2e9  # nanoseconds: a file that changed since could change again without a new time of change
_IMAGE = np.dtype([(name, "<i8") for name in ("id", "width", "height", "row", "first", "end")])
_PREFIX = np.dtype("<i8")
_NUMBERS = 5
_log = logging.getLogger(__name__)


def indexed(files: SplitFiles, read: Callable[[], AnnotationFile], **options: Any) -> AnnotationFile:
    """What `read` gives, mapped from an index where there is one, and kept as one where it is worth it.

    options: plain values that decide what `read` makes of the file. Processes that start at once wait for the first
    one's index.
    """
    known = _fingerprint(files.annotations, options)
    place = None if known is None else _place(files.annotations, options)
    if known is None or place is None:
        return read()
    found = _mapped(place, known, files)
    if found is not None:
        return found
    with turn_at(place) as alone:
        found = _mapped(place, known, files)
        if found is None:
            found = read()
            lasting = not (found.refused or found.looked) and known == _fingerprint(files.annotations, options)
            if alone and lasting and _kept(place, known, found):
                found = _mapped(place, known, files) or found
    return found


def _fingerprint(path: Path, options: dict[str, Any]) -> dict[str, Any] | None:
    """All that decides what is read; None where no index is wanted: of files that are small, new or not there."""
    try:
        state = path.stat()
    except OSError:
        return None
    changed = max(state.st_mtime_ns, state.st_ctime_ns)
    if state.st_size < SMALLEST or time.time_ns() - changed < SETTLED:
        return None
    times = {"size": state.st_size, "mtime": state.st_mtime_ns, "ctime": state.st_ctime_ns}
    return {"version": VERSION, "path": str(path.resolve()), **times, **options}


def _place(path: Path, options: dict[str, Any]) -> Path | None:
    """The index's own file; None where there is no cache folder and none can be made."""
    name = hashlib.sha256(repr((str(path.resolve()), sorted(options.items()))).encode()).hexdigest()[:16]
    try:
        folder = cache_folder() / "annotations"
        folder.mkdir(exist_ok=True)
    except OSError:
        return None
    return folder / f"{name}.index"


@contextmanager
def turn_at(place: Path) -> Iterator[bool]:
    """Wait until no other process makes this index. False where there are no locks, so that none may be made."""
    with ExitStack() as stack:
        alone = False
        with suppress(OSError):
            lock = stack.enter_context(open(place.with_suffix(".lock"), "a"))
            fcntl.flock(lock, fcntl.LOCK_EX)
            alone = True
        yield alone


def _mapped(place: Path, known: dict[str, Any], files: SplitFiles) -> AnnotationFile | None:
    """The index as the annotation file of `files`; None where there is none of it, or a damaged one."""
    try:
        content: NDArray[np.uint8] = np.asarray(np.memmap(place, np.uint8, "r"))
        head, images, objects, text = _parts(content)
        told = json.loads(head.tobytes())
        if told["known"] != known:
            return None
    except (OSError, ValueError):
        return None
    found = AnnotationFile(files, dict(told["categories"]), digest=told["digest"])
    found.faults = [Fault(files.label, *fault) for fault in told["faults"]]
    texts = zip(told["names"], told["sources"], told["groups"], strict=True)
    held = _annotations(images.view(_IMAGE), Columns(objects.view(OBJECT), text))
    for row, annotations, (name, source, group) in zip(images.view(_IMAGE).tolist(), held, texts, strict=True):
        id_, width, height, place_in_file, *_ = row
        found.images.append(ImageRecord(id_, name, width, height, place_in_file, annotations, source, group))
    return found


def _annotations(images: NDArray[np.void], columns: Columns) -> Iterator[MappedAnnotations]:
    """The objects of each image."""
    boxes = ~columns.objects["crowd"]
    classes = tuple(columns.objects["category_id"][boxes].tolist())
    before = np.append(0, np.cumsum(boxes))  # [n + 1]: boxes before each object
    spans = (images["first"], images["end"], before[images["first"]], before[images["end"]])
    for first, end, low, high in zip(*(span.tolist() for span in spans), strict=True):
        yield MappedAnnotations(columns, first, end, classes[low:high])


def _parts(content: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """The parts of an index. Raises ValueError where it is damaged."""
    start = _NUMBERS * _PREFIX.itemsize
    if len(content) < start:
        raise ValueError("cut off")
    crc, *lengths = content[:start].view(_PREFIX).tolist()
    if crc != zlib.crc32(content[_PREFIX.itemsize :].data) or sum(lengths) != len(content) - start:
        raise ValueError("damaged")
    return np.split(content[start:], np.cumsum(lengths))[:-1]


def _kept(place: Path, known: dict[str, Any], part: AnnotationFile) -> bool:
    """Write the index; False where that cannot be done."""
    try:
        images, objects, text = _columns(part)
        told = {
            "known": known,
            "categories": list(part.categories.items()),
            "names": [image.file_name for image in part.images],
            "sources": [image.source for image in part.images],
            "groups": [image.group for image in part.images],
            "faults": [(f.record, f.field, f.rule, f.severity, f.got) for f in part.faults],
            "digest": part.digested(),
        }
        parts = [json.dumps(told).encode(), images.tobytes(), objects.tobytes(), text]
        counted = b"".join([np.array([len(one) for one in parts], _PREFIX).tobytes(), *parts])
        with written(place) as partial, open(partial, "wb") as file:
            file.write(np.array(zlib.crc32(counted), _PREFIX).tobytes())
            file.write(counted)
    except OverflowError:
        return False  # ids beyond machine numbers
    except OSError as error:
        _log.info("%s is parsed at every start: no index can be kept (%s).", part.files.label, error)
        return False
    return True


def _columns(part: AnnotationFile) -> tuple[NDArray[np.void], NDArray[np.void], bytes]:
    """Images, objects and segmentations of a parsed file. Raises OverflowError for ids that no machine number holds."""
    images: list[tuple[int, ...]] = []
    objects: list[tuple[Any, ...]] = []
    text = bytearray()
    for image in part.images:
        first = len(objects)
        for item in image.annotations:
            start = len(text)
            text += b"" if item.segmentation is None else json.dumps(item.segmentation).encode()
            row = (item.id, item.category_id, *item.bbox, *item.xyxy, item.area, item.crowd, start, len(text))
            objects.append(row)
        images.append((image.id, image.width, image.height, image.row, first, len(objects)))
    return np.array(images, _IMAGE), np.array(objects, OBJECT), bytes(text)
