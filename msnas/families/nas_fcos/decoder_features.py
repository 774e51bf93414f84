"""Features of a frozen network, computed once for every image: what decoders are searched on.

NAS-FCOS, arXiv 1906.04423, section 3.3: with the backbone's outputs cached, the cost of training one decoder does not
depend on the backbone. Of augmentation a cache allows a fixed number of views of each image (flipped, rescaled), drawn
once, the first of them as it is; epochs take the views in turn.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from msnas.data.dataset import DetectionDataset
from msnas.data.sending import sent
from msnas.detectors.fcos import FCOS
from msnas.detectors.fcos_targets import Locations, Targets, assign, locations
from msnas.engine.devices import Hardware
from msnas.engine.feature_storage import halved, near, store
from msnas.seeds import derive
from supernet.nas_fcos.decoder import LEVELS
from supernet.nas_fcos.pyramid_module import FpnNeck, PyramidModule

BATCH = 8  # images a pass through the frozen network


@dataclass(frozen=True)
class DecoderFeatures:
    """Row `view * images + index` holds one view of one image.

    features: [rows, C, H, W] float16 of each level, on a GPU where it has the room. labels: [rows, N] int16, distances:
    [rows, N, 4] pixels: what FCOS asks of the N locations `where`. sizes: (height, width) of each row's image inside
    the canvas that all are padded to.
    """

    features: tuple[Tensor, ...]
    labels: Tensor
    distances: Tensor
    sizes: tuple[tuple[int, int], ...]
    images: int
    where: Locations

    @property
    def views(self) -> int:
        """Views of each image."""
        return len(self.labels) // self.images

    @property
    def memory(self) -> int:
        """Bytes of all features."""
        return sum(feature.numel() * feature.element_size() for feature in self.features)

    def batch(
        self, rows: Sequence[int], device: torch.device, coarsest: int | None = None
    ) -> tuple[list[Tensor], Targets]:
        """Features [B, C, H, W] float32 of the `coarsest` levels (all), and their targets, on `device`."""
        index = torch.as_tensor(rows)
        wanted = self.features[-(coarsest or len(self.features)) :]
        # As they are stored: half the bytes travel, and the device converts, not one thread of the CPU.
        features = [sent(feature[index.to(feature.device)], device).float() for feature in wanted]
        return features, Targets(self.labels[index].long(), self.distances[index]).to(device)

    def rows_of_step(self, step: int, batch: int, seed: int) -> list[int]:
        """The rows of a training step: every epoch a permutation of the images, of its own view."""
        steps = ceil(self.images / batch)
        epoch, place = divmod(step, steps)
        order = np.random.default_rng(derive(seed, "epoch", epoch)).permutation(self.images)
        order = np.resize(order, steps * batch) + epoch % self.views * self.images
        return [int(row) for row in order[place * batch : (place + 1) * batch]]

    def through(
        self,
        module: PyramidModule | FpnNeck,
        *,
        hardware: Hardware,
        batch: int = BATCH,
        folder: Path | None = None,
        memory_limit: float = 2e9,
        fingerprint: Mapping[str, Any] | None = None,
    ) -> "DecoderFeatures":
        """A cache of `module`'s outputs on these features, in evaluation mode: a pyramid's, for the head's search.

        folder, memory_limit, fingerprint: as in `cache_features`.
        """
        hardware.place(module).eval()

        def features_of(rows: Sequence[int]) -> list[Tensor]:
            features, _ = self.batch(rows, hardware.device, module.num_inputs)
            with torch.inference_mode():
                outputs: list[Tensor] = module(features)
            return outputs

        rows = len(self.labels)
        levels = _stored(
            rows, features_of, batch, folder=folder, memory_limit=memory_limit, fingerprint=fingerprint, progress=None
        )
        return replace(self, features=near(levels, hardware.device))


def _stored(
    rows: int,
    features_of: Callable[[Sequence[int]], list[Tensor]],
    batch: int,
    *,
    progress: Callable[[int, str], None] | None,
    **place: Any,
) -> tuple[Tensor, ...]:
    """[rows, C, H, W] float16 of each level; `features_of` computes some rows, `batch` of them at once."""
    shapes = [(rows, *feature.shape[1:]) for feature in features_of([0])]

    def fill(levels: Sequence[Tensor]) -> None:
        for chunk in _chunks(rows, batch):
            for level, shape, feature in zip(levels, shapes, features_of(chunk), strict=True):
                level.view(shape)[chunk[0] : chunk[-1] + 1] = halved(feature, f"row {chunk[0]} to {chunk[-1]}")
            if progress is not None:
                progress(chunk[-1] + 1, "images cached")

    stored = store([prod(shape) for shape in shapes], fill, **place)
    return tuple(level.view(shape) for level, shape in zip(stored.levels, shapes, strict=True))


def cache_features(
    detector: FCOS,
    dataset: DetectionDataset,
    *,
    hardware: Hardware,
    seed: int = 0,
    views: int = 1,
    flip: float = 0.0,
    jitter: tuple[float, float] = (1.0, 1.0),
    coarsest: int | None = None,
    folder: Path | None = None,
    memory_limit: float = 2e9,
    fingerprint: Mapping[str, Any] | None = None,
    progress: Callable[[int, str], None] | None = None,
) -> DecoderFeatures:
    """The features of `detector`'s backbone for `views` views of every image, the first of them as it is.

    coarsest: so many of them are kept, those that some decoder reads; None: all. Features larger than `memory_limit`
    bytes lie in `folder`, mapped into memory; a folder of the same `fingerprint` (weights, data, views) that is
    complete is used as it is. Raises DataError where they fit nowhere.
    """
    hardware.place(detector).eval()
    canvas = _canvas(dataset, jitter[1] if views > 1 else 1.0, detector.encoder.divisor)
    plan = _Plan(detector, dataset, canvas, seed, views, flip, jitter)
    features = _stored(
        plan.rows,
        lambda rows: plan.features_of(rows, hardware)[-(coarsest or 0) :],
        BATCH,
        folder=folder,
        memory_limit=memory_limit,
        fingerprint={**(fingerprint or {}), "canvas": canvas, "seed": seed},
        progress=progress,
    )
    where = plan.locations()
    targets = [plan.targets(row, where) for row in range(plan.rows)]
    return DecoderFeatures(
        near(features, hardware.device),
        torch.cat([target.labels for target, _ in targets]).short(),
        torch.cat([target.distances for target, _ in targets]),
        tuple(size for _, size in targets),
        len(dataset),
        where,
    )


@dataclass(frozen=True)
class _Plan:
    """What is cached: which view each row is, and how it becomes features."""

    detector: FCOS
    dataset: DetectionDataset
    canvas: tuple[int, int]
    seed: int
    views: int
    flip: float
    jitter: tuple[float, float]

    @property
    def rows(self) -> int:
        return self.views * len(self.dataset)

    def load(self, row: int) -> tuple[Tensor, dict[str, Any]]:
        """Image [3, h, w] uint8 and target of a row."""
        view, index = divmod(row, len(self.dataset))
        if view == 0:
            return self.dataset.load(index)
        seed = derive(self.seed, "view", view, self.dataset.images[index].id)
        return self.dataset.load(index, seed=seed, flip=self.flip, jitter=self.jitter)

    def features_of(self, rows: Sequence[int], hardware: Hardware) -> list[Tensor]:
        """The backbone's features of these rows, each [B, C, H, W]."""
        images = torch.zeros(len(rows), 3, *self.canvas, device=hardware.device)
        for place, row in enumerate(rows):
            image = self.detector.transform.normalize(self.load(row)[0].to(hardware.device))
            images[place, :, : image.shape[1], : image.shape[2]] = image
        with torch.inference_mode(), hardware.autocast():
            features: list[Tensor] = self.detector.encoder.backbone(images)
        return features

    def locations(self) -> Locations:
        """The locations of P3..P7 of the canvas."""
        sizes = [(ceil(self.canvas[0] / 2**level), ceil(self.canvas[1] / 2**level)) for level in LEVELS]
        strides = [2**level for level in LEVELS]
        return locations(sizes, strides, range_scale=self.detector.range_scale)

    def targets(self, row: int, where: Locations) -> tuple[Targets, tuple[int, int]]:
        """What the row's locations should predict, and the size of its image."""
        image, target = self.load(row)
        return assign([target], where, self.detector.config["center_sampling"]), (
            image.shape[1],
            image.shape[2],
        )


def _chunks(count: int, size: int) -> Iterator[list[int]]:
    for start in range(0, count, size):
        yield list(range(start, min(start + size, count)))


def _canvas(dataset: DetectionDataset, scale: float, divisor: int) -> tuple[int, int]:
    """(height, width) that every image fits into, multiples of `divisor`."""
    sizes = [dataset.size(index) for index in range(len(dataset))]
    height, width = (ceil(max(side) * scale / divisor) * divisor for side in zip(*sizes, strict=True))
    return height, width
