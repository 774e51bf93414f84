"""Images of 10 to 14 bits in files of 16: the value of white that they really use."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from msnas.data.images import EIGHT_BIT, ImageError, Reading, deepest, locate
from msnas.data.records import AnnotationFile, ImageRecord
from msnas.data.seen_images import seen_once

_HALF = 32768  # a data set that reaches it uses its 16 bits


def find_white(parts: Sequence[AnnotationFile], workers: int) -> tuple[int | None, int | None]:
    """The largest value in a data set's grey 16-bit images, and the largest high byte in its coloured ones.

    None where there are none, or where they use their bits. What cannot be read is passed over: opening the images says
    so.
    """
    found = [seen for part in parts for seen in _depths(part, workers) if seen is not None]
    grey, colour = np.stack([*found, np.zeros(2, int)]).max(axis=0).tolist()
    return grey if 0 < grey < _HALF else None, colour if 0 < colour < _HALF >> 8 else None


def is_darkened(path: Path, reading: Reading) -> bool:
    """Whether an image of 16 bits does not reach half of white, so that it is dark where nothing says what white is.

    Raises ImageError.
    """
    if path.name.lower().endswith(EIGHT_BIT):
        return False
    grey, colour = deepest(path, reading)
    return 0 < grey < _HALF or 0 < colour < _HALF >> 8


def _depths(part: AnnotationFile, workers: int) -> Sequence[NDArray[Any] | None]:
    """What `deepest` says of each image that may have more than 8 bits; None for what cannot be read."""
    files = part.files

    def deep(image: ImageRecord) -> NDArray[Any] | None:
        with suppress(ImageError):
            return np.array(deepest(locate(files.images, image.file_name, links=files.reading.links), files.reading))
        return None

    def all_deep(images: Sequence[ImageRecord]) -> list[NDArray[Any] | None]:
        if workers > 1:
            with ThreadPoolExecutor(workers) as pool:
                return list(pool.map(deep, images))
        return list(map(deep, images))

    deeper = [image for image in part.images if not image.file_name.lower().endswith(EIGHT_BIT)]  # others need no look
    return seen_once(files, deeper, "depth", all_deep)
