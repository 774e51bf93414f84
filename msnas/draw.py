"""`msnas draw ARCH... zoo=NAME`: architectures as a picture, one above the other, what differs marked."""

from pathlib import Path
from typing import Any

from msnas.cli import Call
from msnas.errors import ConfigError
from msnas.report.architecture_drawing import draw_diagrams
from msnas.report.diagram import Diagram
from msnas.report.networks import Fpn, diagram_of
from msnas.spaces import input_size, plain_space
from msnas.zoo import SPACES, PublishedFpn, PublishedPath, published
from supernet.architecture import Architecture
from supernet.stride_space import StrideSpace


def main(call: Call) -> int:
    """Write `out=FILE.svg` or `.png` (default `architecture.svg` and `.png`) and say where."""
    config = call.config
    paths = [Path(config.out)] if config.out else [Path("architecture.svg"), Path("architecture.png")]
    for path in paths:
        _draw(call, path)
        print(path)
    return 0


def _draw(call: Call, path: Path) -> None:
    config = call.config
    if config.zoo is not None and not call.positionals:
        own_drawing = getattr(published(str(config.zoo)), "draw", None)
        if own_drawing is not None:  # a network that is no row of blocks and strides
            own_drawing(path)
            return
    draw_diagrams(_diagrams(call), path)


def _diagrams(call: Call) -> list[Diagram]:
    config, diagrams = call.config, []
    space = plain_space(config)
    for number, text in enumerate(call.positionals, start=1):
        architecture = Architecture.parse(text)
        space.validate(architecture)
        title = f"architecture {number}" if len(call.positionals) > 1 else "architecture"
        diagrams.append(diagram_of(architecture, space, title=title))
    if config.zoo is not None:
        item, own_space = _published(str(config.zoo), input_size(config), space)
        diagrams.append(diagram_of(item, own_space, title=str(config.zoo)))
    if not diagrams:
        raise ConfigError('Give an architecture such as "1,2,2,1|8,8,16,16,32", or zoo=NAME.')
    return diagrams


def _published(name: str, size: tuple[int, int], space: Any) -> tuple[Architecture | Fpn, Any]:
    """A published network and the space that it came from, which need not be the configuration's."""
    entry = published(name)
    if isinstance(entry, PublishedPath):
        return entry.architecture, StrideSpace(**SPACES[entry.space], input_size=size)
    if isinstance(entry, PublishedFpn):
        return Fpn(entry.backbone), space
    raise ConfigError(f"zoo={name} is no network of blocks and strides; draw one of msnas_* or fpn_*.")
