"""`msnas draw ARCH...`: architectures as a picture, texts or names of the zoo, one above the other.

Of MSNAS's, what differs is marked. A decoder of NAS-FCOS has a picture to itself.
"""

from collections.abc import Sequence
from pathlib import Path

from msnas.call import Call
from msnas.errors import ConfigError
from msnas.families.family import Family, Picture
from msnas.setup.make_family import family_classes
from msnas.setup.open_run import setup_of
from msnas.setup.setup import Setup
from msnas.setup.zoo import published

Drawn = tuple[type[Family], Picture]


def main(call: Call) -> int:
    """Write `out=FILE.svg` or `.png` (default `architecture.svg` and `.png`) and say where."""
    setup = setup_of(call.words)
    out, zoo = setup.arguments.out, setup.arguments.zoo
    words = [*call.positionals, *([] if zoo is None else [zoo])]
    if not words:
        raise ConfigError('Give an architecture such as "1,2,2,1|8,8,16,16,32", or a name of the zoo.')
    family, pictures = _of_one_family(_drawn(setup, words))
    ours = family.has_size_groups and not any(word.isidentifier() for word in words)
    borders = setup.fit.groups.borders if ours else None  # published networks have those of the paper
    for path in [Path(out)] if out else [Path("architecture.svg"), Path("architecture.png")]:
        family.draw(pictures, path, borders=borders)
        print(path)
    return 0


def _drawn(setup: Setup, words: Sequence[str]) -> list[Drawn]:
    texts = [word for word in words if not word.isidentifier()]
    titles = {text: f"architecture {number}" for number, text in enumerate(texts, start=1)}
    if len(texts) == 1:
        titles[texts[0]] = "architecture"
    return [_published(setup, word) if word.isidentifier() else _text(setup, word, titles[word]) for word in words]


def _text(setup: Setup, text: str, title: str) -> Drawn:
    """An architecture as text: of the family that recognises it, else one of `space=`."""
    for family in family_classes(setup.config_dir):
        architecture = family.recognised(text)
        if architecture is not None:
            return family, Picture(architecture, title)
    return type(setup.family), Picture(setup.family.parse(text), title, space=setup.space)


def _published(setup: Setup, name: str) -> Drawn:
    """A published network, and the space that it came from, which need not be the configuration's."""
    entry = published(name, setup.config_dir)
    family = next(family for family in family_classes(setup.config_dir) if entry in family.zoo())
    return family, entry.picture(setup.input_size)


def _of_one_family(drawn: Sequence[Drawn]) -> tuple[type[Family], list[Picture]]:
    """Raises ConfigError for pictures of several families."""
    families = {family for family, _ in drawn}
    if len(families) > 1:
        raise ConfigError("A picture holds rows of blocks, or pyramids of cells, or one decoder; draw these apart.")
    return families.pop(), [picture for _, picture in drawn]
