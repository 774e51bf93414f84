import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from doc_blocks import ROOT, blocks
from doc_commands import Shell

from msnas.commands import init
from msnas.data.settings import DataSettings
from msnas.data.shapes.shapes_folder import shapes_folder
from msnas.setup import pretrained_start


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where every command of the README was given, with tiny data in `D`, and a picture beside it."""
    place = tmp_path_factory.mktemp("workplace")
    drawn = {"name": "shapes", "root": str(place / "drawn"), "size": 64, "train": 24, "val": 8}
    shutil.copytree(shapes_folder(DataSettings.from_mapping(drawn)), place / "D")
    (place / "images").mkdir()
    for picture in sorted((place / "D" / "images").iterdir())[:3]:
        shutil.copy(picture, place / "images")
    shutil.copy(sorted((place / "images").iterdir())[0], place / "image.png")
    before, threads = Path.cwd(), torch.get_num_threads()
    os.chdir(place)
    try:
        shell = Shell()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pretrained_start, "weights_at_hand", lambda: False)  # what makes runs small is for a stem
            patch.setattr(init, "cores", lambda: 1)  # no workers, whose start takes longer than what they would do
            for block in blocks(ROOT / "README.md"):
                shell.run(block)
    finally:
        os.chdir(before)
        torch.set_num_threads(threads)
    return place


@pytest.fixture
def here(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """`workplace` as the current folder; runs that are made in it are removed."""
    monkeypatch.chdir(workplace)
    before = set((workplace / "runs").iterdir())
    yield workplace
    for run in set((workplace / "runs").iterdir()) - before:
        shutil.rmtree(run)
