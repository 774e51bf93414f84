"""`msnas draw ARCH...`: architectures as a picture, texts or names of the zoo, one above the other.

Of MSNAS's, what differs is marked. A decoder of NAS-FCOS has a picture to itself.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msnas.call import Call
from msnas.drawings.cells import TitledPlan, draw_plans
from msnas.drawings.decoders import draw_decoder
from msnas.drawings.stride_networks import Fpn, diagram_of
from msnas.drawings.stride_rows import draw_diagrams
from msnas.errors import ConfigError
from msnas.families.family import family_of
from msnas.families.zoo import SPACES, Published, PublishedFpn, PublishedPath, architecture_text, published
from msnas.setup.space import input_size, plain_space
from supernet.nas_fcos.decoder import Decoder
from supernet.nas_fpn.pyramid_plan import PyramidPlan
from supernet.strides.architecture import Architecture
from supernet.strides.stride_space import StrideSpace


@dataclass(frozen=True)
class Item:
    """What is drawn, the words above it, and the space of a row of blocks and strides."""

    network: Architecture | Fpn | PyramidPlan | Decoder
    title: str
    subtitle: str = ""
    space: Any = None


def main(call: Call) -> int:
    """Write `out=FILE.svg` or `.png` (default `architecture.svg` and `.png`) and say where."""
    config = call.config
    items = _items(call)
    for path in [Path(config.out)] if config.out else [Path("architecture.svg"), Path("architecture.png")]:
        _draw(items, path)
        print(path)
    return 0


def _items(call: Call) -> list[Item]:
    words = [*call.positionals, *([] if call.config.zoo is None else [str(call.config.zoo)])]
    if not words:
        raise ConfigError('Give an architecture such as "1,2,2,1|8,8,16,16,32", or a name of the zoo.')
    texts = [word for word in words if not word.isidentifier()]
    titles = {text: f"architecture {number}" for number, text in enumerate(texts, start=1)}
    if len(texts) == 1:
        titles[texts[0]] = "architecture"
    return [_published(call, word) if word.isidentifier() else _text(call, word, titles[word]) for word in words]


def _text(call: Call, text: str, title: str) -> Item:
    """An architecture as text. Decoders and cells are known by their form, a row of blocks belongs to `space=`."""
    if "/" in text:
        return Item(Decoder.parse(text), title)
    if re.search(r",(sum|gp)\b", text):
        return Item(PyramidPlan.parse(text), title)
    network = family_of(call.config).parse(call.config, text)
    return Item(network, title, space=plain_space(call.config))


def _published(call: Call, name: str) -> Item:
    """A published network, and the space that it came from, which need not be the configuration's."""
    entry: Published = published(name)
    if isinstance(entry, PublishedFpn):
        return Item(Fpn(entry.backbone), name, space=plain_space(call.config))
    if isinstance(entry, PublishedPath):
        space = StrideSpace(**SPACES[entry.space], input_size=input_size(call.config))
        return Item(entry.architecture, name, space=space)
    architecture_text(name)  # there is nothing to draw of a baseline
    return Item(entry.architecture, name, getattr(entry, "subtitle", ""))


def _draw(items: Sequence[Item], path: Path) -> None:
    """One picture of networks of one family."""
    first, networks = items[0], [item.network for item in items]
    if all(isinstance(network, PyramidPlan) for network in networks):
        draw_plans([TitledPlan(item.network, item.title, item.subtitle) for item in items], path)  # type: ignore[arg-type]
    elif all(isinstance(network, Architecture | Fpn) for network in networks):
        draw_diagrams([diagram_of(item.network, item.space, title=item.title) for item in items], path)  # type: ignore[arg-type]
    elif len(items) == 1:
        draw_decoder(first.network, path, title=first.title, subtitle=first.subtitle)  # type: ignore[arg-type]
    else:
        raise ConfigError("A picture holds rows of blocks, or pyramids of cells, or one decoder; draw these apart.")
