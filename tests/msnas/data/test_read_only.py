"""A data folder is read and never written to: it may lie on a disk that cannot be written."""

import pytest
from tiny_words import TINY, fitting

from msnas.cli import main

TRAINED = ["space=msnas_7", "scale=tiny", "data=coco", "budget=none", "train.steps=1", "data.search_val.minimum=1"]


@pytest.mark.parametrize(
    "words",
    [
        ["check", "data"],
        ["init", "data", "out=own.msnas"],
        ["train", "data.root=data", "run=r", *fitting(TINY, TRAINED), *TRAINED],
    ],
    ids=lambda words: words[0],
)
def test_nothing_is_written_into_the_folder_of_the_data(words, folder, monkeypatch):
    monkeypatch.chdir(folder.root.parent)
    folder.write()
    before = {path: path.stat().st_mtime_ns for path in [folder.root, *folder.root.rglob("*")]}
    assert main([*words, "hardware.device=cpu"]) == 0
    assert {path: path.stat().st_mtime_ns for path in [folder.root, *folder.root.rglob("*")]} == before
