"""The latency of a path as a sum over its parts, which makes it a cost that is counted and drawn like any other.

The parts are those of `first_stage_cost.first_stage_parts`; blocks of one stride at one size take the same time
wherever they stand, so that a few dozen measurements give the latency of every architecture.
"""

from collections.abc import Mapping

from supernet.errors import SpaceError
from supernet.strides.architecture import BLOCK_STRIDES, Architecture, stride_levels

METRIC = "latency_us"  # whole microseconds
Parts = tuple[tuple[str, int], ...]  # sorted, so that spaces can be compared


def part_names(base_stride: int) -> list[str]:
    """Every part that a path can have. Numbers are strides: of the map that is read, then of the block.

    "rest" is what every path takes besides, which may be less than nothing where parts run faster in a row.
    """
    levels = stride_levels(base_stride)
    blocks = [f"block {level} {s}" for level in levels for s in BLOCK_STRIDES if level * s in levels]
    others = [f"{part} {level}" for part in ("lateral", "output", "rpn") for level in levels]
    return ["stem", "first 1", "first 2", *blocks, *others, "rest"]


def parts_of(architecture: Architecture, base_stride: int) -> list[str]:
    """The parts of one path, each as often as it runs."""
    before = (base_stride, *architecture.feature_strides(base_stride))
    strides = architecture.strides
    blocks = [f"block {level} {stride}" for level, stride in zip(before[1:-1], strides[1:], strict=True)]
    laterals = [f"lateral {stage.stride}" for stage in architecture.stages(base_stride) if stage.lateral is not None]
    outputs = [f"output {level}" for level in sorted(set(architecture.heads))]
    heads = [f"rpn {level}" for level in architecture.heads]
    return ["stem", f"first {strides[0]}", *blocks, *laterals, *outputs, *heads, "rest"]


def check_parts(latency: Mapping[str, int], base_stride: int) -> Parts:
    """Microseconds by part, sorted. Raises SpaceError where a part is missing or is no time."""
    wrong = sorted(set(part_names(base_stride)) ^ set(latency))
    if wrong:
        raise SpaceError(f"A space's latency has a time for each part, but these are missing or unknown: {wrong}.")
    for name, value in latency.items():
        if isinstance(value, bool) or not isinstance(value, int) or (value < 0 and name != "rest"):
            raise SpaceError(f"A part's latency is whole microseconds, at least 0, but got {value!r} for {name!r}.")
    return tuple(sorted(latency.items()))
