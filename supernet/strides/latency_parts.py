"""The latency of a path as a sum over its parts, which makes it a cost that is counted and drawn like any other.

The parts are those of `first_stage_cost.first_stage_parts`; blocks of one stride at one size take the same time
wherever they stand, so that a few dozen measurements give the latency of every architecture.
"""

from collections.abc import Mapping

from supernet.errors import SpaceError
from supernet.strides.architecture import BLOCK_STRIDES, Architecture, stride_levels
from supernet.strides.first_stage_cost import PathStart, stem_start

METRIC = "latency_us"  # whole microseconds
REST = "rest"  # the part that no module is
Parts = tuple[tuple[str, int], ...]  # sorted, so that spaces can be compared


def part_names(base_stride: int, start: PathStart | None = None) -> list[str]:
    """Every part that a path can have. Numbers are strides: of the map that is read, then of the block.

    start: what paths begin from; None: a stem. The first part is the start by its name; "lateral s16" reads the
    prefix's stage of stride 16. "rest" is what every path takes besides, which may be less than nothing where parts run
    faster in a row.
    """
    start = start or _stem(base_stride)
    levels = [level for level in stride_levels(base_stride) if level >= start.finest]
    first = [f"first {s}" for s in BLOCK_STRIDES if start.stride * s in levels]
    blocks = [f"block {level} {s}" for level in levels for s in BLOCK_STRIDES if level * s in levels]
    others = [f"{part} {level}" for part in ("lateral", "output", "rpn") for level in levels]
    of_prefix = [f"lateral s{stride}" for stride, _ in start.ended]
    return [start.name, *first, *blocks, *others, *of_prefix, REST]


def parts_of(architecture: Architecture, base_stride: int, start: PathStart | None = None) -> list[str]:
    """The parts of one path, each as often as it runs."""
    start = start or _stem(base_stride)
    strides = architecture.strides
    before = architecture.feature_strides(base_stride, start=start.stride)[:-1]
    blocks = [f"block {level} {stride}" for level, stride in zip(before, strides[1:], strict=True)]
    stages = architecture.stages(base_stride, start=start.stride, ended=dict(start.ended))
    laterals = [
        f"lateral s{stage.stride}" if stage.prefix else f"lateral {stage.stride}"
        for stage in stages
        if stage.prefix or stage.lateral is not None
    ]
    outputs = [f"output {level}" for level in sorted(set(architecture.heads))]
    heads = [f"rpn {level}" for level in architecture.heads]
    return [start.name, f"first {strides[0]}", *blocks, *laterals, *outputs, *heads, REST]


def _stem(base_stride: int) -> PathStart:
    """A stem, at whatever size: parts are named by strides."""
    return stem_start(base_stride, (16 * base_stride, 16 * base_stride))


def check_parts(latency: Mapping[str, int], base_stride: int, start: PathStart | None = None) -> Parts:
    """Microseconds by part, sorted. Raises SpaceError where a part is missing or is no time."""
    wrong = sorted(set(part_names(base_stride, start)) ^ set(latency))
    if wrong:
        raise SpaceError(f"A space's latency has a time for each part, but these are missing or unknown: {wrong}.")
    for name, value in latency.items():
        if isinstance(value, bool) or not isinstance(value, int) or (value < 0 and name != REST):
            raise SpaceError(f"A part's latency is whole microseconds, at least 0, but got {value!r} for {name!r}.")
    return tuple(sorted(latency.items()))
