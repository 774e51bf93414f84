"""Which options of a choice of a group no comment explains."""

from msnas.config.comments import meanings
from msnas.config.compose import composed, folders
from msnas.differences import flatten


def without_meaning(word: str) -> list[str]:
    """The options under `GROUP=CHOICE` that have none."""
    config, chosen = composed([word])
    known = meanings(folders(), chosen)
    return [key for key in flatten(config) if "._" not in key and not known.get(key)]
