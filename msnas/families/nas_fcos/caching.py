"""The features of FCOS's backbone, computed once for fixed views of every image (NAS-FCOS, arXiv 1906.04423, 3.3).

Of augmentation a cache allows a fixed number of views of each image (mirrored, rescaled, cut), drawn once; epochs take
the views in turn. Where views are not cut to squares, upright images and others have a canvas each: on one for both,
every image would be padded to the longest side of all.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from msnas.data.augmentation import View
from msnas.data.dataset import DetectionDataset
from msnas.detectors.fcos import FCOS
from msnas.detectors.fcos_targets import Locations, assign, locations
from msnas.engine.devices import Hardware
from msnas.families.nas_fcos.cache_options import CacheOptions
from msnas.families.nas_fcos.decoder_features import Bucket, DecoderFeatures, stored_features, target_bytes
from msnas.seeds import derive
from supernet.nas_fcos.decoder import LEVELS

AS_THEY_ARE = CacheOptions()


def cached_part(train: DetectionDataset, images: int | None, *, seed: int) -> DetectionDataset:
    """So many images of `train`, each as likely as any other and in their order there; None: all."""
    if images is None or images >= len(train):
        return train
    order = np.random.default_rng(derive(seed, "cached images")).permutation(len(train))
    return train.subset(sorted(order[:images].tolist()))


def view_seed(seed: int) -> int:
    """The seed that a run of this `seed` draws views by."""
    return derive(seed, "views")


def canvases_of(
    detector: FCOS, dataset: DetectionDataset, options: CacheOptions = AS_THEY_ARE, *, seed: int = 0
) -> dict[tuple[int, int], int]:
    """How many rows `cache_features` would put on each canvas (height, width); no image is read."""
    return {canvas: len(rows) for canvas, rows in _Views(detector, dataset, options, seed).canvases.items()}


def cache_features(
    detector: FCOS,
    dataset: DetectionDataset,
    *,
    hardware: Hardware,
    options: CacheOptions = AS_THEY_ARE,
    seed: int = 0,
    coarsest: int | None = None,
    folder: Path | None = None,
    fingerprint: Mapping[str, Any] | None = None,
    progress: Callable[[int, str], None] | None = None,
) -> DecoderFeatures:
    """The features of `detector`'s backbone for the views of every image that `options` asks for.

    coarsest: so many of them are kept, those that some decoder reads; None: all. folder, fingerprint (of the weights):
    see `stored_features`; what the targets take is the features' no more. Raises DataError where these fit nowhere.
    """
    hardware.place(detector).eval()
    views = _Views(detector, dataset, options, seed)
    canvases = views.canvases
    targets = sum(target_bytes(len(rows) * len(views.locations(size).points)) for size, rows in canvases.items())
    features = stored_features(
        list(canvases.values()),
        lambda rows: views.features_of(rows, hardware)[-(coarsest or 0) :],
        hardware,
        progress=progress,
        folder=folder,
        memory_limit=max(0, options.memory_limit - targets),
        fingerprint={
            **(fingerprint or {}),
            **options.drawn,
            "canvases": list(canvases),
            "seed": seed,
            "device": hardware.device.type,
            "precision": hardware.precision,
        },
    )
    buckets = [
        views.bucket(canvas, rows, levels, hardware.device)
        for (canvas, rows), levels in zip(canvases.items(), features, strict=True)
    ]
    return DecoderFeatures(tuple(buckets), tuple(view.shape for view in views.all), len(dataset))


@dataclass(frozen=True)
class _Views:
    """Which view each row is, and how it becomes features."""

    detector: FCOS
    dataset: DetectionDataset
    options: CacheOptions
    seed: int

    @cached_property
    def all(self) -> list[View]:
        """Of every row. The first of an image is the image as it is, unless views are cut."""
        return [self._view(*divmod(row, len(self.dataset))) for row in range(self.options.views * len(self.dataset))]

    def _view(self, number: int, index: int) -> View:
        whole, options = self.dataset.size(index), self.options
        if number == 0 and not options.crop:
            return View(whole=whole, size=whole)
        seed = derive(self.seed, "view", number, self.dataset.images[index].id)
        square = self.detector.config["short_side"] if options.crop else None
        return View.drawn(seed, whole, flip=options.flip, jitter=options.jitter, square=square)

    @cached_property
    def canvases(self) -> dict[tuple[int, int], list[int]]:
        """The rows of each canvas (height, width): the least multiple of the divisor that its views fit into."""
        upright = [view.shape[0] > view.shape[1] for view in self.all]
        kinds = [[row for row, tall in enumerate(upright) if tall == kind] for kind in (False, True)]
        if self.options.crop:  # about squares, all of them
            kinds = [list(range(len(self.all)))]
        divisor = self.detector.encoder.divisor
        canvases: dict[tuple[int, int], list[int]] = {}
        for rows in filter(None, kinds):
            sides = zip(*(self.all[row].shape for row in rows), strict=True)
            height, width = (ceil(max(side) / divisor) * divisor for side in sides)
            canvases.setdefault((height, width), []).extend(rows)
        return canvases

    @cached_property
    def _canvas(self) -> dict[int, tuple[int, int]]:
        """Of each row."""
        return {row: canvas for canvas, rows in self.canvases.items() for row in rows}

    def features_of(self, rows: Sequence[int], hardware: Hardware) -> list[Tensor]:
        """The backbone's features of these rows of one canvas, each [B, C, H, W]."""
        images = torch.zeros(len(rows), 3, *self._canvas[rows[0]], device=hardware.device)
        for place, row in enumerate(rows):
            pixels, _ = self.dataset.load(row % len(self.dataset))
            image = self.detector.transform.normalize(self.all[row].of_image(pixels).to(hardware.device))
            images[place, :, : image.shape[1], : image.shape[2]] = image
        with torch.inference_mode(), hardware.autocast():
            features: list[Tensor] = self.detector.encoder.backbone(images)
        return features

    def bucket(
        self, canvas: tuple[int, int], rows: Sequence[int], features: tuple[Tensor, ...], device: torch.device
    ) -> Bucket:
        """The rows of a canvas with their features and what their locations should predict."""
        where = self.locations(canvas)
        targets = [assign([self._target(row)], where, self.detector.config["center_sampling"]) for row in rows]
        labels, distances = (torch.cat([getattr(t, name) for t in targets]) for name in ("labels", "distances"))
        return Bucket(tuple(rows), features, labels.short(), distances, where.to(device))

    def _target(self, row: int) -> dict[str, Any]:
        return self.all[row].of_target(self.dataset.target(row % len(self.dataset)))

    def locations(self, canvas: tuple[int, int]) -> Locations:
        """The locations of P3..P7 of the canvas."""
        sizes = [(ceil(canvas[0] / 2**level), ceil(canvas[1] / 2**level)) for level in LEVELS]
        strides = [2**level for level in LEVELS]
        return locations(sizes, strides, range_scale=self.detector.range_scale)
