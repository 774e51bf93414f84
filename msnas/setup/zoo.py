"""Published networks by name, of every family that a space names."""

import difflib

from msnas.errors import ConfigError
from msnas.families.family import Published, nothing_searched
from msnas.setup.make_family import family_classes


def zoo(config_dir: str | None = None) -> dict[str, Published]:
    """Every published network by its name, those of families in the user's own folder too."""
    return {entry.name: entry for family in family_classes(config_dir) for entry in family.zoo()}


def published(name: str, config_dir: str | None = None) -> Published:
    """The entry of this name. Raises ConfigError with the nearest names where there is none."""
    known = zoo(config_dir)
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name, known, n=3)
    hint = f"Did you mean {' or '.join(close)}?" if close else f"There are: {', '.join(known)}."
    raise ConfigError(f"zoo has no network {name!r}. {hint}")


def architecture_text(word: str, config_dir: str | None = None) -> str:
    """The text of an architecture: `word` itself, or what the published network of that name is made of.

    Raises ConfigError for a name that is not known, and for a baseline.
    """
    if not word.isidentifier():
        return word
    architecture = published(word, config_dir).architecture
    if architecture is None:
        raise nothing_searched(word)
    return str(architecture)
