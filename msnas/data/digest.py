"""What a data set holds in a few lines that a run keeps, and what has changed since, told by name."""

from collections.abc import Mapping
from typing import Any

from msnas.data.source import Source


def data_digest(source: Source) -> dict[str, Any]:
    """Classes by id (as text, for JSON), and of each split its file, counts, and a hash of what was read from it."""
    splits = zip(("train", "val"), source.parts, strict=False)
    return {
        "classes": {str(id_): name for id_, name in source.train.categories.items()},
        "splits": {name: {"file": part.files.label, **part.digested()} for name, part in splits},
    }


def digest_change(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """The first difference of two digests, as the rest of a sentence; None where they are the same."""
    was, classes = before["classes"], now["classes"]
    for id_ in [*was, *(id_ for id_ in classes if id_ not in was)]:
        if was.get(id_) != classes.get(id_):
            return f"class {id_} was {was.get(id_, 'absent')} and is {classes.get(id_, 'absent')}"
    for name in dict.fromkeys([*before["splits"], *now["splits"]]):
        old, new = before["splits"].get(name), now["splits"].get(name)
        if old is None or new is None:
            return f"a {name} file {'has been added' if old is None else 'is no longer there'}"
        for key in ("images", "boxes"):
            if old[key] != new[key]:
                return f"{new['file']} had {old[key]} {key} and has {new[key]}"
        if old["sha256"] != new["sha256"]:
            return f"records of {new['file']} were edited, though their number is the same"
    return None
