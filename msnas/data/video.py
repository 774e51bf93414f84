"""The frames of a video, upright, through PyAV (an extra)."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from msnas.data.images import ImageError
from msnas.errors import ConfigError

SUFFIXES = (
    ".mp4",
    ".m4v",
    ".mov",
    ".avi",
    ".mkv",
    ".webm",
    ".mpg",
    ".mpeg",
    ".ts",
    ".wmv",
    ".3gp",
    ".flv",
    ".mts",
    ".m2ts",
    ".ogv",
)


class Frame(NamedTuple):
    """number: from 1 on, of all frames of the video; seconds: from its beginning; pixels: [h, w, 3] RGB."""

    number: int
    seconds: float
    pixels: NDArray[np.uint8]


def is_video(path: Path) -> bool:
    """Whether the file's suffix is one of a video's."""
    return path.suffix.lower() in SUFFIXES


def require_video(path: Path) -> None:
    """Raise ConfigError where what reads the video `path` is not installed."""
    if importlib.util.find_spec("av") is None:
        raise ConfigError(f"{path} is a video, which PyAV reads, of the extra `video`: pip install 'msnas[video]'.")


def frames(path: Path, every: int = 1) -> Iterator[Frame]:
    """Every `every`-th frame, the first one included. Raises ImageError where the file cannot be read (on)."""
    import av  # an extra

    try:
        with av.open(str(path)) as video:
            if not video.streams.video:
                raise ImageError("file_name", "the video must have pictures", f"{path.name} without any")
            for index, frame in enumerate(video.decode(video=0)):
                if index % every == 0:
                    yield Frame(index + 1, float(frame.time or 0.0), _upright(frame))
    except av.error.FFmpegError as error:
        reason = " ".join(str(error).split()).replace(str(path), path.name)[:200]
        raise ImageError("file_name", "the video must be readable", f"{path.name}: {reason}") from error


def _upright(frame: Any) -> NDArray[np.uint8]:
    """A frame's pixels, turned as a player would: telephones store videos lying and note how they were held."""
    turns = round(getattr(frame, "rotation", 0) / 90) % 4  # counter-clockwise
    return np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), turns))
