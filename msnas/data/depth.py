"""Images of 10 to 14 bits in files of 16: the value of white that they really use."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from msnas.data.images import EIGHT_BIT, ImageError, Reading, deepest, locate
from msnas.data.records import AnnotationFile

_HALF = 32768  # a data set that reaches it uses its 16 bits


def find_white(parts: Sequence[AnnotationFile], workers: int) -> tuple[int | None, int | None]:
    """The largest value in a data set's grey 16-bit images, and the largest high byte in its coloured ones.

    None where there are none, or where they use their bits. What cannot be read is passed over: opening the images says
    so.
    """
    jobs = [
        (part.files.images, image.file_name, part.files.reading)
        for part in parts
        for image in part.images
        if not image.file_name.lower().endswith(EIGHT_BIT)  # need not be opened
    ]
    if workers > 1:
        with ThreadPoolExecutor(workers) as pool:
            found = list(pool.map(_deepest, jobs))
    else:
        found = list(map(_deepest, jobs))
    grey, colour = (max(values, default=0) for values in zip(*(found or [(0, 0)]), strict=True))
    return grey if 0 < grey < _HALF else None, colour if 0 < colour < _HALF >> 8 else None


def is_darkened(path: Path, reading: Reading) -> bool:
    """Whether an image of 16 bits does not reach half of white, so that it is dark where nothing says what white is.

    Raises ImageError.
    """
    if path.name.lower().endswith(EIGHT_BIT):
        return False
    grey, colour = deepest(path, reading)
    return 0 < grey < _HALF or 0 < colour < _HALF >> 8


def _deepest(job: tuple[Path, str, Reading]) -> tuple[int, int]:
    folder, file_name, reading = job
    try:
        return deepest(locate(folder, file_name, links=reading.links), reading)
    except ImageError:
        return 0, 0
