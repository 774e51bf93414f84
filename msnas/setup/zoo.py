"""Published networks by name, of every family that a space names."""

import difflib
import re
from collections.abc import Sequence

from msnas.config.compose import compose, split
from msnas.errors import ConfigError
from msnas.families.family import Published, nothing_searched
from msnas.setup.make_family import family_class, family_classes


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


def with_published_shape(words: Sequence[str]) -> tuple[str, ...]:
    """`words` behind the options that make the zoo's networks in `retrain.architectures` of their published shape.

    What the words say themselves stands: a space or experiment; `network.K` or `space.K` of the network; of the
    baseline `baseline.K`. Raises ConfigError for names of several shapes.
    """
    typed = dict(map(split, words))
    known = zoo(typed.get("config_dir"))
    named = [known[name] for name in re.findall(r"\w+", typed.get("retrain.architectures", "")) if name in known]
    if not named:
        return tuple(words)
    if len({one.options for one in named}) > 1:
        names = " and ".join(one.name for one in named)
        raise ConfigError(
            f"Networks that are retrained together must be of one shape, but got {names}; name one a run."
        )
    choices = [
        word for word in named[0].options if "." not in split(word)[0] and not {"space", "experiment"} & set(typed)
    ]
    family = family_class(str(compose([*choices, *words]).family))
    if named[0] not in family.zoo():
        return tuple(words)
    given = {_part(key) for key in typed}
    if ("network", "channels") in given:
        given.add(("network", "out_channels"))  # which are as the channels, unless they are typed
    shape = [word for word in named[0].options if "." in split(word)[0]]
    return (*choices, *(word for word in shape if _part(split(word)[0]) not in given), *words)


def _part(key: str) -> tuple[str, str]:
    """What an option of a shape is of, and its name there: a network follows its space, a baseline neither."""
    group, _, name = key.rpartition(".")
    return "network" if group == "space" else group, name
