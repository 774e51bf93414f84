"""What the caches of a search of decoders take: known from the images' sizes, before any network has run.

Every cache shares one limit, in the order in which they are made: what FCOS asks of the locations always lies in
memory, features beyond the limit on disk.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from msnas.data.opening import Splits
from msnas.detectors.fcos import FCOS
from msnas.engine.feature_storage import bytes_of
from msnas.families.nas_fcos.cache_options import CacheOptions
from msnas.families.nas_fcos.caching import cached_part, canvases_of, view_seed
from msnas.families.nas_fcos.decoder_features import target_bytes
from msnas.families.nas_fcos.head_options import HeadOptions
from supernet.nas_fcos.decoder import LEVELS
from supernet.nas_fcos.fcos_encoder import BACKBONE_LEVELS
from supernet.nas_fcos.head_space import HeadSpace
from supernet.nas_fcos.pyramid_space import PyramidSpace

Canvases = Mapping[tuple[int, int], int]


@dataclass(frozen=True)
class CacheSize:
    """Bytes of one cache; targets: 0 where they are those of another."""

    features: int
    targets: int = 0


def placed(caches: Sequence[CacheSize], limit: float) -> tuple[int, int]:
    """(bytes in memory, bytes on disk) of caches that are made in this order."""
    memory, disk = 0, 0
    for cache in caches:
        fits = memory + cache.targets + cache.features <= limit
        memory += cache.targets + (cache.features if fits else 0)
        disk += 0 if fits else cache.features
    return memory, disk


def search_caches(
    detector: FCOS,
    space: PyramidSpace | HeadSpace,
    heads: HeadOptions | None,
    splits: Splits,
    options: CacheOptions,
    *,
    seed: int,
) -> list[CacheSize]:
    """The caches of a search, in their order: the backbone's features, then a pyramid's where heads are searched.

    heads: those that are searched after pyramids, None where only one half is searched. seed: of the run.
    """
    neck = detector.encoder.neck
    out_channels: int | None
    if isinstance(space, HeadSpace):
        inputs, out_channels = neck.num_inputs, neck.out_channels
    else:
        inputs, out_channels = space.num_inputs, heads.channels if heads is not None else None
    widths = dict(zip(BACKBONE_LEVELS, detector.encoder.backbone.channels, strict=True))
    read = {level: widths[level] for level in BACKBONE_LEVELS[-inputs:]}
    train = cached_part(splits.supernet_train, options.images, seed=seed)
    canvases = [
        canvases_of(detector, images, views, seed=view_seed(seed))
        for images, views in ((train, options), (splits.search_val, CacheOptions()))
    ]
    caches = [CacheSize(_features(rows, read), _targets(rows)) for rows in canvases]
    if out_channels is not None:
        caches += [CacheSize(_features(rows, dict.fromkeys(LEVELS, out_channels))) for rows in canvases]
    return caches


def _features(canvases: Canvases, channels: Mapping[int, int]) -> int:
    return bytes_of(
        [rows * c * _pixels(size, level) for size, rows in canvases.items() for level, c in channels.items()]
    )


def _targets(canvases: Canvases) -> int:
    return sum(target_bytes(rows * sum(_pixels(size, level) for level in LEVELS)) for size, rows in canvases.items())


def _pixels(size: tuple[int, int], level: int) -> int:
    stride: int = 2**level
    return ceil(size[0] / stride) * ceil(size[1] / stride)
