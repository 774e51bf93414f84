"""What a frozen prefix makes of every image, or a few views of it, and of their mirror images, computed once.

Supernet, candidates and retraining then pay for what comes after it alone. Images go through the prefix one by one, so
that features depend on nothing but the image: with several threads those of a batch may differ from those of an image
alone in the last bits. It is no slower (experiments/bench/feature_cache.md).
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, repeat
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from msnas.data.cached_image import CachedImage
from msnas.data.dataset import DetectionDataset
from msnas.data.fixed_views import AS_IT_IS, FixedViews
from msnas.data.geometry import padded_size
from msnas.engine.devices import Hardware
from msnas.engine.evaluation import evaluation_mode
from msnas.engine.feature_storage import Stored, halved, store
from msnas.errors import DataError

SIDES = 2  # a view and its mirror image
Size = tuple[int, int]  # (height, width), pixels


class PrefixEncoder(Protocol):
    """What is asked of an encoder whose first part is frozen."""

    divisor: int  # images are padded to its multiples
    feature_strides: Sequence[int]  # of what `prefix` gives, finest first

    def prefix(self, images: Tensor, /) -> Mapping[int, Tensor]:
        """Normalised, padded images [B, 3, H, W] to one feature [B, C, H / s, W / s] by stride s."""


@dataclass(frozen=True)
class Layout:
    """Where each feature lies: the levels' channels and strides, and by file the size of each of its image's views.

    A level holds the maps of all files in turn, view after view, the mirror image's after the view's.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]
    divisor: int
    sizes: Mapping[str, tuple[Size, ...]]

    @property
    def lengths(self) -> list[int]:
        """Numbers in each level."""
        return [starts[-1] for starts in self._starts()]

    def starts(self) -> dict[tuple[str, int], tuple[int, ...]]:
        """Where the numbers of each file's each view begin in each level."""
        views = [(file, number) for file, sizes in self.sizes.items() for number in range(len(sizes))]
        return dict(zip(views, zip(*self._starts(), strict=True), strict=False))

    def _starts(self) -> list[list[int]]:
        """By level, where each view begins, and where all end."""
        sizes = [size for views in self.sizes.values() for size in views]
        numbers = [[SIDES * self._numbers(level, size) for size in sizes] for level in range(len(self.strides))]
        return [list(accumulate(of_level, initial=0)) for of_level in numbers]

    def shape(self, level: int, size: Size) -> tuple[int, int, int]:
        """[C, h, w] of a level's map of an image of (height, width) `size`."""
        height, width = padded_size(*size, self.divisor)
        return self.channels[level], height // self.strides[level], width // self.strides[level]

    def _numbers(self, level: int, size: Size) -> int:
        channels, height, width = self.shape(level, size)
        return channels * height * width


class FeatureCache:
    """Features by image file. In a folder they are mapped: a pickled cache finds its files again and copies nothing."""

    def __init__(self, layout: Layout, stored: Stored) -> None:
        self.layout, self.stored = layout, stored
        self._starts = layout.starts()

    @property
    def memory(self) -> int:
        """Bytes of all features."""
        return self.stored.memory

    def image(self, file: str, *, view: int = 0, mirrored: bool = False) -> CachedImage:
        """The features of a view of an image file, or of its mirror image: not to be changed."""
        size = self.layout.sizes[file][view]
        maps = []
        for level, (numbers, start) in enumerate(zip(self.stored.levels, self._starts[file, view], strict=True)):
            channels, height, width = self.layout.shape(level, size)
            first = start + mirrored * channels * height * width
            maps.append(numbers[first : first + channels * height * width].view(channels, height, width))
        return CachedImage(tuple(maps), self.layout.strides, size)


def layout_of(encoder: PrefixEncoder, datasets: Iterable[DetectionDataset], views: FixedViews = AS_IT_IS) -> Layout:
    """The layout of all images of `datasets`; one that is in several of them is there once.

    views: of the first data set's images, those that are trained on; of the others there is one.
    """
    sizes: dict[str, tuple[Size, ...]] = {}
    for data, own in _with_views(datasets, views):
        for index, record in enumerate(data.images):
            seen = own.of(record.file_name, data.size(index))
            sizes.setdefault(str(data.file(index)), tuple(view.shape for view in seen))
    with torch.inference_mode():
        side = encoder.divisor
        device = next((p.device for p in encoder.parameters()), None) if isinstance(encoder, nn.Module) else None
        features = encoder.prefix(torch.zeros(1, 3, side, side, device=device))
    channels = tuple(features[stride].shape[1] for stride in encoder.feature_strides)
    return Layout(channels, tuple(encoder.feature_strides), encoder.divisor, sizes)


def _with_views(
    datasets: Iterable[DetectionDataset], views: FixedViews
) -> Iterator[tuple[DetectionDataset, FixedViews]]:
    return zip(datasets, chain([views], repeat(AS_IT_IS)), strict=False)


def cache_images(
    detector: Any,
    datasets: Sequence[DetectionDataset],
    *,
    hardware: Hardware,
    views: FixedViews = AS_IT_IS,
    folder: Path | None = None,
    memory_limit: float = 2e9,
    fingerprint: Mapping[str, Any] | None = None,
    progress: Callable[[int, str], None] | None = None,
) -> FeatureCache:
    """The features of `detector.encoder.prefix` for every image of `datasets` and its mirror image.

    views: of the first data set's images, those that are trained on; of the others there is one. More than
    `memory_limit` bytes are mapped from a folder of their own inside `folder`, named by what they depend on: the
    `fingerprint` (weights), the images, their sizes and views. One that is complete is used as it is; with
    memory_limit=0 worker processes and later stages find it there, too. progress: told the images done and a text.
    Raises DataError where features fit nowhere, or not into float16.
    """
    hardware.place(detector)
    with evaluation_mode(detector):
        layout = layout_of(detector.encoder, datasets, views)
        known = {**(fingerprint or {}), **_described(layout, _with_views(datasets, views), detector, hardware)}
        place = (
            None if folder is None else folder / hashlib.sha256(repr(sorted(known.items())).encode()).hexdigest()[:16]
        )
        filler = _Filler(detector, datasets, views, layout, hardware, progress)
        stored = store(layout.lengths, filler.fill, folder=place, memory_limit=memory_limit, fingerprint=known)
    return FeatureCache(layout, stored)


def _described(
    layout: Layout, seen: Iterable[tuple[DetectionDataset, FixedViews]], detector: Any, hardware: Hardware
) -> dict[str, Any]:
    """What the features depend on beside weights; not on threads, since whoever shares them may have other ones."""
    images = "\n".join(_image_described(data, index, own) for data, own in seen for index in range(len(data)))
    return {
        "images": hashlib.sha256(images.encode()).hexdigest(),
        "channels": list(layout.channels),
        "strides": list(layout.strides),
        "divisor": layout.divisor,
        "mean": list(detector.transform.image_mean),
        "std": list(detector.transform.image_std),
        "precision": hardware.precision,
        "device": hardware.device.type,
    }


def _image_described(data: DetectionDataset, index: int, views: FixedViews) -> str:
    """What an image's features depend on: its file, as it is now and is read, and its views."""
    file, seen = data.file(index), views.of(data.images[index].file_name, data.size(index))
    now = file.stat()
    return f"{file} {now.st_size} {now.st_mtime_ns} {data.white} {seen}"


@dataclass(frozen=True)
class _Filler:
    """Computes the features of every image."""

    detector: Any
    datasets: Sequence[DetectionDataset]
    views: FixedViews
    layout: Layout
    hardware: Hardware
    progress: Callable[[int, str], None] | None

    def fill(self, levels: Sequence[Tensor]) -> None:
        """Write the features of all images into `levels`."""
        cache, done = FeatureCache(self.layout, Stored(tuple(levels))), set[str]()
        with torch.inference_mode():
            for data, own in _with_views(self.datasets, self.views):
                for index, record in enumerate(data.images):
                    file = str(data.file(index))
                    if file not in done:
                        done.add(file)
                        image = data.load(index)[0]
                        for number, view in enumerate(own.of(record.file_name, data.size(index))):
                            self._fill_one(cache, file, number, view.of_image(image))
                        if self.progress is not None:
                            self.progress(len(done), "images cached")

    def _fill_one(self, cache: FeatureCache, file: str, view: int, image: Tensor) -> None:
        for mirrored in (False, True):
            features = self._features(image.flip(2) if mirrored else image)
            for kept, feature in zip(cache.image(file, view=view, mirrored=mirrored).maps, features, strict=True):
                if kept.shape != feature.shape:
                    raise DataError(
                        f"The prefix must give {tuple(kept.shape)} for {file}, as its strides say, "
                        f"but gives {tuple(feature.shape)}."
                    )
                kept.copy_(halved(feature, file))

    def _features(self, image: Tensor) -> list[Tensor]:
        """[C, h, w] of each stride for one image [3, h, w] uint8."""
        height, width = padded_size(image.shape[1], image.shape[2], self.layout.divisor)
        normal = self.detector.transform.normalize(image.to(self.hardware.device))
        padded = nn.functional.pad(normal, (0, width - image.shape[2], 0, height - image.shape[1]))
        with self.hardware.autocast():
            features: Mapping[int, Tensor] = self.detector.encoder.prefix(padded[None])
        return [features[stride][0] for stride in self.layout.strides]
