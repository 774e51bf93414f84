"""Where a space behind a pretrained prefix begins: a timm backbone cut at the stride at which one of its stages ends.

Importing this needs no torch; a backbone's widths and cost do.
"""

from functools import lru_cache

from supernet.errors import SpaceError
from supernet.strides.first_stage_cost import PathStart

CUTS = (8, 16, 32)
FINEST = (4, 8)


def prefix_strides(cut: int, finest: int) -> tuple[int, ...]:
    """The strides of the prefix's features that some network behind it can read, finest first: `finest` to `cut`.

    cut: where the prefix ends. finest: the finest stride that blocks may have. Raises SpaceError for other strides.
    """
    if isinstance(cut, bool) or cut not in CUTS:
        raise SpaceError(f"cut must be one of the strides {', '.join(map(str, CUTS))}, but got {cut!r}.")
    if isinstance(finest, bool) or finest not in FINEST:
        raise SpaceError(f"finest must be 4, or 8 where no block may have stride 4, but got {finest!r}.")
    return tuple(stride for stride in (4, 8, 16, 32) if finest <= stride <= cut)


@lru_cache(maxsize=64)
def prefix_start(backbone: str, cut: int, finest: int, input_size: tuple[int, int]) -> PathStart:
    """The start of paths behind `backbone` cut at stride `cut`, with the exact cost of its stages up to there.

    Raises SpaceError for an unknown backbone, or one without a feature of a stride that is needed.
    """
    from supernet.strides.prefix_backbone import prefix_cost  # torch

    strides = prefix_strides(cut, finest)
    cost, channels = prefix_cost(backbone, strides, input_size)
    return PathStart("prefix", cut, channels[-1], cost, finest, tuple(zip(strides, channels, strict=True)))
