"""Features of a frozen network, held for every image: what decoders are searched on.

NAS-FCOS, arXiv 1906.04423, section 3.3: with the backbone's outputs cached, the cost of training one decoder does not
depend on the backbone.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from msnas.data.sending import sent
from msnas.detectors.fcos_targets import Locations, Targets
from msnas.engine.devices import Hardware
from msnas.engine.feature_storage import halved, near, store
from msnas.seeds import derive
from supernet.nas_fcos.pyramid_module import FpnNeck, PyramidModule

BATCH = 8  # images a pass through the frozen network


@dataclass(frozen=True)
class Bucket:
    """The rows whose images lie one way, upright or not, padded to one canvas.

    rows: their numbers in the cache. features: [rows, C, H, W] float16 of each level, on a GPU where it has the room.
    labels: [rows, N] int16, distances: [rows, N, 4] pixels: what FCOS asks of the N locations `where`.
    """

    rows: tuple[int, ...]
    features: tuple[Tensor, ...]
    labels: Tensor
    distances: Tensor
    where: Locations


@dataclass(frozen=True)
class Batch:
    """Some rows of one bucket on a device: features [B, C, H, W] float32 of each level, and what FCOS asks of them."""

    rows: tuple[int, ...]
    features: list[Tensor]
    targets: Targets
    where: Locations


@dataclass(frozen=True)
class DecoderFeatures:
    """Row `view * images + index` holds one view of one image, in one of the buckets.

    sizes: (height, width) of each row's image inside its canvas.
    """

    buckets: tuple[Bucket, ...]
    sizes: tuple[tuple[int, int], ...]
    images: int

    @property
    def views(self) -> int:
        """Views of each image."""
        return len(self.sizes) // self.images

    @property
    def memory(self) -> int:
        """Bytes of all features."""
        return sum(level.numel() * level.element_size() for bucket in self.buckets for level in bucket.features)

    @property
    def targets(self) -> int:
        """Bytes of what FCOS asks of all locations."""
        return sum(target_bytes(bucket.labels.numel()) for bucket in self.buckets)

    def batch(self, rows: Sequence[int], device: torch.device, coarsest: int | None = None) -> Batch:
        """Rows of one bucket on `device`, the `coarsest` levels of them (all)."""
        bucket, _ = self._places[rows[0]]
        index = torch.tensor([self._places[row][1] for row in rows])
        wanted = bucket.features[-(coarsest or len(bucket.features)) :]
        # As they are stored: half the bytes travel, and the device converts, not one thread of the CPU.
        features = [sent(level[sent(index, level.device)], device).float() for level in wanted]
        targets = Targets(bucket.labels[index].long(), bucket.distances[index]).to(device)
        return Batch(tuple(rows), features, targets, bucket.where.to(device))

    def training_rows(self, batch: int, seed: int) -> Iterator[list[int]]:
        """The rows of one training step after another, without end, each step of one bucket.

        Every epoch is a permutation of the images in its own view. Rows wait until their bucket has enough for a step,
        so that each image is seen as often as any other.
        """
        waiting: list[list[int]] = [[] for _ in self.buckets]
        number = {row: number for number, bucket in enumerate(self.buckets) for row in bucket.rows}
        for epoch in itertools.count():
            order = np.random.default_rng(derive(seed, "epoch", epoch)).permutation(self.images)
            for row in (order + epoch % self.views * self.images).tolist():
                rows = waiting[number[row]]
                rows.append(row)
                if len(rows) == batch:
                    yield rows.copy()
                    rows.clear()

    def scoring_rows(self, batch: int) -> Iterator[Sequence[int]]:
        """All rows, up to `batch` of one bucket at once."""
        for bucket in self.buckets:
            yield from _chunks(bucket.rows, batch)

    def through(
        self,
        module: PyramidModule | FpnNeck,
        *,
        hardware: Hardware,
        batch: int = BATCH,
        **place: Any,
    ) -> "DecoderFeatures":
        """A cache of `module`'s outputs on these features, in evaluation mode: a pyramid's, for the head's search.

        place: folder, memory_limit and fingerprint, as `store` has them.
        """
        hardware.place(module).eval()

        def features_of(rows: Sequence[int]) -> list[Tensor]:
            features = self.batch(rows, hardware.device, module.num_inputs).features
            with torch.inference_mode():
                outputs: list[Tensor] = module(features)
            return outputs

        levels = stored_features([bucket.rows for bucket in self.buckets], features_of, hardware, batch=batch, **place)
        buckets = zip(self.buckets, levels, strict=True)
        return replace(self, buckets=tuple(replace(bucket, features=features) for bucket, features in buckets))

    @cached_property
    def _places(self) -> dict[int, tuple[Bucket, int]]:
        """The bucket of each row, and where it lies in it."""
        return {row: (bucket, place) for bucket in self.buckets for place, row in enumerate(bucket.rows)}


def target_bytes(locations: int) -> int:
    """What the targets of so many locations take: an int16 label and four float32 distances each."""
    return locations * (torch.int16.itemsize + 4 * torch.float32.itemsize)


def stored_features(
    buckets: Sequence[Sequence[int]],
    features_of: Callable[[Sequence[int]], list[Tensor]],
    hardware: Hardware,
    *,
    batch: int = BATCH,
    progress: Callable[[int, str], None] | None = None,
    folder: Path | None = None,
    memory_limit: float = 2e9,
    fingerprint: Mapping[str, Any] | None = None,
) -> list[tuple[Tensor, ...]]:
    """[rows, C, H, W] float16 of each level of each bucket's rows; `features_of` computes `batch` of them at once.

    Features larger than `memory_limit` bytes lie in `folder`, mapped into memory; a folder of the same `fingerprint`
    (weights, data, views) that is complete is used as it is. Raises DataError where they fit nowhere.
    """
    shapes = [[(len(rows), *level.shape[1:]) for level in features_of(rows[:1])] for rows in buckets]

    def shaped(flat: Sequence[Tensor]) -> list[tuple[Tensor, ...]]:
        levels = iter(flat)
        return [tuple(next(levels).view(shape) for shape in bucket) for bucket in shapes]

    def fill(flat: Sequence[Tensor]) -> None:
        done = 0
        for rows, levels in zip(buckets, shaped(flat), strict=True):
            for place, chunk in enumerate(_chunks(rows, batch)):
                for level, feature in zip(levels, features_of(chunk), strict=True):
                    level[place * batch :][: len(chunk)] = halved(feature, f"row {chunk[0]} to {chunk[-1]}")
                done += len(chunk)
                if progress is not None:
                    progress(done, "images cached")

    lengths = [prod(shape) for bucket in shapes for shape in bucket]
    stored = store(lengths, fill, folder=folder, memory_limit=memory_limit, fingerprint=fingerprint)
    return shaped(near(stored.levels, hardware.device))


def _chunks(rows: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
