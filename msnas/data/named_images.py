"""The images and videos that a command line names: files, and folders with all that is below them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from msnas.data.images import PLUG_INS
from msnas.data.video import is_video, require_video
from msnas.errors import ConfigError

DRAWN = (".jpg", ".jpeg", ".png")  # a picture of another format is drawn as PNG


class Source(NamedTuple):
    """An image or a video, what it is called in the answer, and its picture, or the folder of them, below OUT."""

    path: Path
    name: str
    picture: str


@dataclass
class Found:
    """What there is to detect on, and how many files were left out: of other kinds, and videos inside folders."""

    sources: list[Source] = field(default_factory=list)
    others: int = 0
    videos: int = 0


def find_images(places: Sequence[Path], out: Path) -> Found:
    """Every file of `places` and below them with the suffix of an image, and the videos that are named themselves.

    Hidden files and `out` are left out. With several places a folder's name stands before those of its images; where
    two files would be called alike, both go by their path. Raises ConfigError for a place that does not exist or
    would be written over, where nothing is found, and for a video that nothing here reads.
    """
    known = {suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN} | {*PLUG_INS}
    named: dict[Path, str] = {}
    found = Found()
    for place in places:
        for path, name in _files(place, out, alone=len(places) == 1):
            if path.suffix.lower() in known or (is_video(path) and path == place):
                named.setdefault(path, name)
            elif is_video(path):
                found.videos += 1
            else:
                found.others += 1
    for path in filter(is_video, named):
        require_video(path)
    if not named:
        listed = ", ".join(map(str, places))
        raise ConfigError(f"{listed} holds no image; known are {', '.join(DRAWN)} and what else Pillow reads.")
    pictures, often = _pictures(named), Counter(named.values())
    found.sources = [Source(p, name if often[name] == 1 else str(p), pictures[p]) for p, name in named.items()]
    return found


def _files(place: Path, out: Path, *, alone: bool) -> list[tuple[Path, str]]:
    if not place.exists():
        raise ConfigError(f"The images must be a folder or a file, but {place} does not exist.")
    root = place.parent if place.is_file() else place
    if out.resolve() == root.resolve():
        raise ConfigError(f"The pictures must go to another folder than the images', but both are {out}.")
    if out.resolve() == place.resolve():
        raise ConfigError(f"The results must go to another file than the images', but both are {out}.")
    files = [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.is_file())
    before = Path() if alone or place.is_file() else Path(place.resolve().name)
    return [
        (path, str(before / path.relative_to(root)))
        for path in files
        if not any(part.startswith(".") for part in path.relative_to(root).parts)
        and not path.resolve().is_relative_to(out.resolve())
    ]


def _pictures(named: dict[Path, str]) -> dict[Path, str]:
    """A name of its own for each picture: the image's where that format is kept, else with `.png` behind it.

    Of a video the name of a folder. Names that differ in case alone are one on some file systems.
    """
    taken: set[str] = set()
    pictures: dict[Path, str] = {}
    for path in sorted(named, key=lambda path: path.suffix.lower() not in DRAWN):  # kept names first
        kept = path.suffix.lower() in DRAWN or is_video(path)
        pictures[path] = _free(named[path] if kept else f"{named[path]}.png", taken)
        taken.add(pictures[path].casefold())
    return pictures


def _free(name: str, taken: Iterable[str]) -> str:
    """`name`, or the first of NAME.2.SUFFIX, NAME.3.SUFFIX, ... that is not taken."""
    stem, suffix = Path(name).with_suffix(""), Path(name).suffix
    others = (f"{stem}.{number}{suffix}" for number in count(2))
    return name if name.casefold() not in taken else next(one for one in others if one.casefold() not in taken)
