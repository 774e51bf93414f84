"""What a search found, as a picture in a file."""

from pathlib import Path
from typing import Any

from msnas.drawings.cells import draw_plan
from msnas.drawings.decoders import draw_decoder
from msnas.drawings.stride_networks import draw as draw_rows
from supernet.nas_fcos.decoder import Decoder, Head, Pyramid
from supernet.nas_fpn.pyramid_plan import PyramidPlan


def draw_found(found: Any, space: Any, path: Path, *, title: str, base_scale: float) -> None:
    """Write what a search in `space` found as a picture, SVG or PNG by the ending of `path`."""
    if isinstance(found, PyramidPlan):
        draw_plan(found, path, title=title)
    elif isinstance(found, Pyramid | Head | Decoder):  # half of one: the other half is fixed
        draw_decoder(found if isinstance(found, Decoder) else space.decoder(found), path, title=title)
    else:
        draw_rows([found], space, path, titles=[title], base_scale=base_scale)
