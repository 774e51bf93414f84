"""Features of a frozen network, computed once for every image: what decoders are searched on.

NAS-FCOS, arXiv 1906.04423, section 3.3: with the backbone's outputs cached, the cost of training one decoder does not
depend on the backbone. Of augmentation a cache allows a fixed number of views of each image (flipped, rescaled), drawn
once, the first of them as it is; epochs take the views in turn.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from msnas.data.dataset import DetectionDataset
from msnas.detectors.fcos import FCOS
from msnas.detectors.fcos_targets import Locations, Targets, assign, locations
from msnas.engine.devices import Hardware
from msnas.errors import DataError
from msnas.files import read_json, write_json
from msnas.seeds import derive
from supernet.nas_fcos.decoder import LEVELS
from supernet.nas_fcos.pyramid_module import FpnNeck, PyramidModule

STORED = torch.float16  # half the memory; features of a trained network lie well inside its range
DONE = "done.json"
BATCH = 8  # images a pass through the frozen network


@dataclass(frozen=True)
class FeatureCache:
    """Row `view * images + index` holds one view of one image.

    features: [rows, C, H, W] of each level. labels: [rows, N] int16, distances: [rows, N, 4] pixels: what FCOS asks of
    the N locations `where`. sizes: (height, width) of each row's image inside the canvas that all are padded to.
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
        features = [feature[index].to(device, torch.float32) for feature in wanted]
        return features, Targets(self.labels[index].long(), self.distances[index]).to(device)

    def rows_of_step(self, step: int, batch: int, seed: int) -> list[int]:
        """The rows of a training step: every epoch a permutation of the images, of its own view."""
        steps = ceil(self.images / batch)
        epoch, place = divmod(step, steps)
        order = np.random.default_rng(derive(seed, "epoch", epoch)).permutation(self.images)
        order = np.resize(order, steps * batch) + epoch % self.views * self.images
        return [int(row) for row in order[place * batch : (place + 1) * batch]]

    def through(self, module: PyramidModule | FpnNeck, *, hardware: Hardware, batch: int = BATCH) -> "FeatureCache":
        """A cache of `module`'s outputs on these features, in evaluation mode: a pyramid's, for the head's search."""
        parts: list[list[Tensor]] = []
        hardware.place(module).eval()
        with torch.inference_mode():
            for start in range(0, len(self.labels), batch):
                rows = range(start, min(start + batch, len(self.labels)))
                features, _ = self.batch(rows, hardware.device, module.num_inputs)
                parts.append([feature.to("cpu", STORED) for feature in module(features)])
        levels = zip(*parts, strict=True)
        return replace(self, features=tuple(torch.cat(level).clone() for level in levels))


def cache_features(
    detector: FCOS,
    dataset: DetectionDataset,
    *,
    hardware: Hardware,
    seed: int = 0,
    views: int = 1,
    flip: float = 0.0,
    jitter: tuple[float, float] = (1.0, 1.0),
    folder: Path | None = None,
    memory_limit: float = 2e9,
    fingerprint: Mapping[str, Any] | None = None,
    progress: Callable[[int, str], None] | None = None,
) -> FeatureCache:
    """The features of `detector`'s backbone for `views` views of every image, the first of them as it is.

    Features larger than `memory_limit` bytes lie in `folder`, mapped into memory; a folder of the same `fingerprint`
    (weights, data, views) that is complete is used as it is. Raises DataError where they fit nowhere.
    """
    hardware.place(detector).eval()
    canvas = _canvas(dataset, jitter[1] if views > 1 else 1.0, detector.encoder.divisor)
    plan = _Plan(detector, dataset, canvas, seed, views, flip, jitter)
    with torch.inference_mode():
        shapes = [(plan.rows, *feature.shape[1:]) for feature in plan.features_of([0], hardware)]
    on_disk = _place(shapes, folder, memory_limit)
    features = tuple(_allocate(shape, on_disk, level) for level, shape in enumerate(shapes))
    if on_disk is None:
        plan.fill(features, hardware, progress)
    else:
        known = {**(fingerprint or {}), "canvas": canvas, "rows": plan.rows, "seed": seed, "shapes": shapes}
        plain = json.loads(json.dumps(known))  # as it will be read back
        if read_json(on_disk / DONE) != plain:
            (on_disk / DONE).unlink(missing_ok=True)
            plan.fill(features, hardware, progress)
            write_json(on_disk / DONE, plain)
    where = plan.locations()
    targets = [plan.targets(row, where) for row in range(plan.rows)]
    return FeatureCache(
        features,
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
        with hardware.autocast():
            features: list[Tensor] = self.detector.encoder.backbone(images)
        return features

    def fill(self, features: Sequence[Tensor], hardware: Hardware, progress: Callable[[int, str], None] | None) -> None:
        """Compute every row into `features`."""
        with torch.inference_mode():
            for rows in _chunks(self.rows, BATCH):
                for stored, level in zip(features, self.features_of(rows, hardware), strict=True):
                    stored[rows[0] : rows[-1] + 1] = level.to("cpu", STORED)
                if progress is not None:
                    progress(rows[-1] + 1, "images cached")

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


def _place(shapes: Sequence[Sequence[int]], folder: Path | None, memory_limit: float) -> Path | None:
    """Where features of these shapes go: `folder`, or None for memory."""
    needed = sum(prod(shape) for shape in shapes) * STORED.itemsize
    if needed <= memory_limit:
        return None
    if folder is None:
        raise DataError(
            f"Cached features must fit into {memory_limit / 1e9:.1f} GB of memory, but need {needed / 1e9:.1f}; "
            f"raise cache.memory_limit, or lower cache.views or data.short_side."
        )
    return folder


def _allocate(shape: Sequence[int], folder: Path | None, level: int) -> Tensor:
    if folder is None:
        return torch.empty(*shape, dtype=STORED)
    folder.mkdir(parents=True, exist_ok=True)
    path = str(folder / f"level{level}.f16")
    return torch.from_file(path, shared=True, size=prod(shape), dtype=STORED).view(*shape)
