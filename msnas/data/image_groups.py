"""Which images belong together, so that no split may divide them: near copies, augmented copies, shots of one film."""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from msnas.data.check.duplicates import SIDE, Thumbnails, near_copies
from msnas.data.images import read_rgb
from msnas.data.records import AnnotationFile, ImageRecord
from msnas.data.seen_images import kept_of, seen_once
from msnas.data.settings import DataSettings
from msnas.data.source import open_images
from msnas.errors import ConfigError

MANY = 10_000  # images beyond which near copies are not looked for: all pairs are compared


@dataclass(frozen=True)
class Groups:
    """`of[i]`: the group of image i; `named[i]`: without what looks alike; `said`: a line a reason, with counts."""

    of: tuple[int, ...]
    named: tuple[int, ...]
    said: tuple[str, ...] = ()

    def subset(self, indices: Sequence[int]) -> "Groups":
        """The groups of these images."""
        return replace(
            self, of=tuple(self.of[index] for index in indices), named=tuple(self.named[index] for index in indices)
        )


def find_groups(part: AnnotationFile, settings: DataSettings, *, looks: bool = True) -> Groups:
    """The groups of an annotation file's images: one file, one source picture, one `data.group`, one look.

    looks: whether images are opened to look for near copies. Raises ConfigError where no record has `data.group`.
    """
    group, said = list(range(len(part.images))), list[str]()
    reasons: list[tuple[str, Callable[[ImageRecord], Hashable]]] = [
        ("name one file", lambda image: image.path),
        ("are copies of one picture (`extra.name`, or a name with `.rf.`)", lambda image: image.source),
    ]
    if settings.group is not None:
        reasons.append((f"share their {settings.group!r}", lambda image: image.group))
        if part.images and all(image.group is None for image in part.images):
            raise ConfigError(f"data.group must be a key of images in {part.files.label}, but got {settings.group!r}.")
    for why, key in reasons:
        keys = [key(image) for image in part.images]
        shared = {one for one, number in Counter(keys).items() if number > 1 and one is not None}
        same: dict[Hashable, list[int]] = {}
        for index, one in enumerate(keys):
            if one in shared:
                same.setdefault(one, []).append(index)
        said += _unite(group, list(same.values()), f"{part.files.label}: ", why)
    looks = looks and settings.near_copies and settings.shapes is None
    if looks and len(part.images) > MANY:
        said.append(f"{part.files.label}: near copies are not looked for among over {MANY:,} images; see data.group.")
    groups = Groups(tuple(group), tuple(group), tuple(said))
    if not looks or len(part.images) > MANY:
        return groups
    copies = seen_once(
        part.files, part.images, "small copy", lambda new: small_copies(part, settings.workers, images=new)
    )
    return join_alike(groups, part, stacked(copies))


def join_alike(groups: Groups, part: AnnotationFile, small: Thumbnails) -> Groups:
    """The groups, with near copies joined. small [n, 32, 32, 3], by image."""
    group = list(groups.of)
    said = _unite(group, kept_of(small, lambda: near_copies(small)), f"{part.files.label}: ", "are near copies")
    return replace(groups, of=tuple(group), said=(*groups.said, *said))


def small_copies(
    part: AnnotationFile,
    workers: int,
    progress: Callable[[], None] = lambda: None,
    *,
    images: Sequence[ImageRecord] | None = None,
) -> list[NDArray[np.uint8] | None]:
    """A small copy [32, 32, 3] of every image, None for those that cannot be read, whose faults are noted.

    images: those of the file that are read; None: all.
    """

    def small(image: ImageRecord, path: Path) -> NDArray[np.uint8]:
        return read_rgb(path, image.width, image.height, (SIDE, SIDE), part.files.reading)

    return open_images(part, small, workers, progress, images=images)


def stacked(small: Sequence[NDArray[np.uint8] | None]) -> Thumbnails:
    """[n, 32, 32, 3], with zeros, which are like nothing, for the images that could not be read."""
    blank = np.zeros((SIDE, SIDE, 3), np.uint8)
    return np.stack([blank if one is None else one for one in small]) if small else blank[None][:0]


def _unite(group: list[int], found: Sequence[Sequence[int]], where: str, why: str) -> list[str]:
    """Make one group of each list of images; a line about it where that changed anything.

    A group goes by its least index; `group[i]` leads there, over indices that only fall.
    """
    changed = False
    for indices in found:
        roots = {_root(group, index) for index in indices}
        changed |= len(roots) > 1
        for root in roots:
            group[root] = min(roots)
    for index in range(len(group)):
        group[index] = _root(group, index)
    images = sum(map(len, found))
    plural = "s" * (len(found) > 1)
    return [f"{where}{images} images {why}, in {len(found)} group{plural}: no split divides them."] if changed else []


def _root(group: list[int], index: int) -> int:
    while group[index] != index:
        index = group[index]
    return index
