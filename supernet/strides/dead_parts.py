"""What a path pays for nothing, in closed form: blocks behind the last stage that a head reads.

A lateral that a dead block's stage adds is dead as well, though a live block owns it ("Multi-scale Network Architecture
Search for Object Detection", eq. 4-6). `PathEncoder` builds neither.
"""

from typing import Any

from supernet.cost import Cost, total
from supernet.strides.architecture import Architecture
from supernet.strides.first_stage_cost import STEM_CHANNELS, PathStart, path_parts, stem_start


def dead_parts(architecture: Architecture, start: PathStart, *, base_stride: int = 4, **shape: Any) -> dict[str, Cost]:
    """Those of the `path_parts` that influence nothing: dead blocks, and the laterals that their stages owe.

    shape: what else `path_parts` takes. Raises SpaceError as it does.
    """
    parts = path_parts(architecture, start, base_stride=base_stride, **shape)
    live = path_parts(architecture.live(base_stride, start=start.stride), start, base_stride=base_stride, **shape)
    return {name: cost for name, cost in parts.items() if name not in live}


def dead_cost(
    architecture: Architecture,
    *,
    base_stride: int = 4,
    stem: int = STEM_CHANNELS,
    input_size: tuple[int, int],
    **shape: Any,
) -> Cost:
    """The dead parts' share of `first_stage_cost`, which takes the same arguments. Raises SpaceError as it does."""
    start = stem_start(base_stride, input_size, stem)
    return total(dead_parts(architecture, start, base_stride=base_stride, input_size=input_size, **shape).values())
