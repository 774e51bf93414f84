"""Files that a page adds to the library: Python below a copy's paths, yaml into a copy of conf/."""

import importlib
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from doc_blocks import ROOT, Block

from msnas.config import compose as config


def added(files: Sequence[Block], place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the blocks to the paths that they name below `place`; packages and configuration know them from then on."""
    if not files:
        return
    shutil.copytree(ROOT / "conf", place / "conf")
    for block in files:
        path = place / str(block.option("file"))
        assert not (ROOT / str(block.option("file"))).exists(), f"{block} would replace a file of the library"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text)
        if path.suffix == ".py":
            folder = next(f for f in path.parents if (ROOT / f.relative_to(place)).exists())  # below it all is new
            package = importlib.import_module(".".join(folder.relative_to(place).parts))
            monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
            importlib.invalidate_caches()
    monkeypatch.setattr(config, "conf_folder", lambda: place / "conf")
