"""File names of records that no file has: which file must be meant, where exactly one can be."""

import os
import unicodedata
from collections import defaultdict
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from PIL import Image


class Names:
    """The image files below a folder, by what stays of a name when letter case, folders, encoding and suffix go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._by_name: defaultdict[str, list[str]] = defaultdict(list)
        self._by_stem: defaultdict[str, list[str]] = defaultdict(list)
        suffixes = {*Image.registered_extensions(), ".heic", ".heif"}
        for place, _, files in os.walk(folder):
            for name in files:
                path = PurePosixPath(Path(place, name).relative_to(folder).as_posix())
                if path.suffix.lower() in suffixes:
                    self._by_name[_plain(path.name)].append(str(path))
                    self._by_stem[_plain(path.stem)].append(str(path))

    def candidate(self, file_name: str) -> str | None:
        """The one file, relative to the folder, that a record's name can mean; None where there are none or several."""
        wanted = PurePosixPath(unquote(file_name).replace("\\", "/"))
        found = self._by_name.get(_plain(wanted.name)) or self._by_stem.get(_plain(wanted.stem)) or []
        if len(found) > 1:  # those that agree in the most folders
            agreed = {path: _agreement(PurePosixPath(path), wanted) for path in found}
            found = [path for path in found if agreed[path] == max(agreed.values())]
        return found[0] if len(found) == 1 else None


def _plain(name: str) -> str:
    """A name without what tools change in it: its encoding as a URL, its Unicode form, the case of its letters."""
    return unicodedata.normalize("NFC", unquote(name)).casefold().strip()


def _agreement(path: PurePosixPath, wanted: PurePosixPath) -> int:
    """How many folders, from the file on upwards, have the same names."""
    pairs = zip(reversed(path.parent.parts), reversed(wanted.parent.parts), strict=False)
    return next((count for count, (a, b) in enumerate(pairs) if _plain(a) != _plain(b)), len(path.parent.parts))
