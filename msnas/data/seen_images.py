"""What was seen of images that were opened, kept in the cache folder: later starts open only those that have changed.

An image is known by its name and record's size, and by its file's size, times of change and inode; a data set by its
annotation file, its image folder and the options of reading. What was refused, is gone, or has changed too lately is
opened again. A cache that is damaged or cannot be written is passed over.
"""

import hashlib
import json
import os
import stat
import time
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from msnas.data.annotation_index import SETTLED, turn_at
from msnas.data.layouts import SplitFiles
from msnas.data.records import ImageRecord
from msnas.files import cache_folder, read_json, write_json, written

FEWEST = 500  # images; fewer are opened in no time
VERSION = 1  # raised when the same images would give something else
Seen = NDArray[Any]


def seen_once(
    files: SplitFiles,
    images: Sequence[ImageRecord],
    what: str,
    see: Callable[[Sequence[ImageRecord]], Sequence[Seen | None]],
) -> list[Seen | None]:
    """What `see` gives of each image, in their order: as it was kept, or now for those that it was not kept of.

    what: a name for it. see: arrays of one shape, for the images that it is asked for; None for those that are refused.
    Processes that start at once wait for the first one's.
    """
    place = _place(files, what) if len(images) >= FEWEST else None
    if place is None:
        return list(see(images))
    known, states = _known(images), _states(files.images, images)
    found = _kept(place, known, states)
    if not any(one is None for one in found):
        return found
    with turn_at(place) as alone:
        found = _kept(place, known, states)
        rows = [row for row, one in enumerate(found) if one is None]
        for row, one in zip(rows, see([images[row] for row in rows]), strict=True):
            found[row] = one
        if alone and rows:
            with suppress(OSError):
                _keep(place, known, states, found)
    return found


def kept_of(content: Seen, make: Callable[[], list[list[int]]]) -> list[list[int]]:
    """What `make` makes of a large `content` alone, made once."""
    folder = _folder() if len(content) >= FEWEST else None
    if folder is None:
        return make()
    path = folder / f"{hashlib.sha256(content.tobytes()).hexdigest()[:16]}-{VERSION}.json"
    with suppress(ValueError, OSError):
        known: list[list[int]] | None = read_json(path)
        if known is not None:
            return known
    made = make()
    with suppress(OSError):
        write_json(path, made)
    return made


def _folder() -> Path | None:
    """None where there is no cache folder and none can be made."""
    with suppress(OSError):
        folder = cache_folder() / "images"
        folder.mkdir(exist_ok=True)
        return folder
    return None


def _place(files: SplitFiles, what: str) -> Path | None:
    told = repr((VERSION, what, str(files.annotations.resolve()), str(files.images.resolve()), files.reading))
    folder = _folder()
    return None if folder is None else folder / f"{hashlib.sha256(told.encode()).hexdigest()[:16]}.npz"


def _known(images: Sequence[ImageRecord]) -> str:
    told = json.dumps([(image.file_name, image.width, image.height) for image in images])
    return hashlib.sha256(told.encode()).hexdigest()


def _states(folder: Path, images: Sequence[ImageRecord]) -> NDArray[np.int64]:
    """[n, 4]: what changes with a file; zeros where it must be opened, as it is no file, or a new one."""
    states = np.zeros((len(images), 4), np.int64)
    settled = time.time_ns() - SETTLED
    for row, image in enumerate(images):
        with suppress(OSError, ValueError):  # ValueError: a name that no file can have
            file = os.stat(os.path.join(folder, image.file_name))
            if stat.S_ISREG(file.st_mode) and file.st_size and max(file.st_mtime_ns, file.st_ctime_ns) < settled:
                states[row] = file.st_size, file.st_mtime_ns, file.st_ctime_ns, file.st_ino & (2**63 - 1)
    return states


def _kept(place: Path, known: str, states: NDArray[np.int64]) -> list[Seen | None]:
    """What is kept of each image, None for those to be opened."""
    nothing: list[Seen | None] = [None] * len(states)
    try:
        with open(place, "rb") as file, np.load(file) as kept:
            if str(kept["known"]) != known:
                return nothing
            same = (kept["states"] == states).all(axis=1) & states.any(axis=1)
            return [one if equal else None for one, equal in zip(kept["seen"], same.tolist(), strict=True)]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return nothing


def _keep(place: Path, known: str, states: NDArray[np.int64], found: Sequence[Seen | None]) -> None:
    """Write what was found; the images of which nothing was are opened again."""
    first = next((one for one in found if one is not None), None)
    if first is None:
        return
    lasting = np.array([one is not None for one in found])
    seen = np.stack([np.zeros_like(first) if one is None else one for one in found])
    with written(place) as partial, open(partial, "wb") as file:
        np.savez(file, known=np.array(known), states=states * lasting[:, None], seen=seen)
