"""`msnas draw ARCH... zoo=NAME`: architectures as a picture, one above the other, what differs marked."""

from pathlib import Path

from msnas.cli import Call
from msnas.errors import ConfigError
from msnas.report.networks import Fpn, draw
from msnas.spaces import plain_space
from msnas.zoo import PublishedFpn, PublishedPath, published
from supernet.architecture import Architecture


def main(call: Call) -> int:
    """Write `out=FILE.svg` or `.png` (default `architecture.svg` and `.png`) and say where."""
    config = call.config
    space = plain_space(config)
    drawn: list[Architecture | Fpn] = []
    titles: list[str] = []
    for text in call.positionals:
        architecture = Architecture.parse(text)
        space.validate(architecture)
        drawn.append(architecture)
        titles.append(f"architecture {len(drawn)}" if len(call.positionals) > 1 else "architecture")
    if config.zoo is not None:
        drawn.append(_published(str(config.zoo)))
        titles.append(str(config.zoo))
    if not drawn:
        raise ConfigError('Give an architecture such as "1,2,2,1|8,8,16,16,32", or zoo=NAME.')
    paths = [Path(config.out)] if config.out else [Path("architecture.svg"), Path("architecture.png")]
    for path in paths:
        draw(drawn, space, path, titles=titles)
        print(path)
    return 0


def _published(name: str) -> Architecture | Fpn:
    entry = published(name)
    if isinstance(entry, PublishedPath):
        return entry.architecture
    if isinstance(entry, PublishedFpn):
        return Fpn(entry.backbone)
    raise ConfigError(f"zoo={name} is no network of blocks and strides; draw one of msnas_* or fpn_*.")
