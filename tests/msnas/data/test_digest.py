"""What a run keeps of its data, and how a change is told."""

from collections.abc import Callable
from typing import Any

import pytest
from coco_folders import CocoFolder

from msnas.data.digest import data_digest, digest_change
from msnas.data.opening import open_data
from msnas.data.source import read_source


def _digest(folder: CocoFolder) -> dict[str, Any]:
    return data_digest(read_source(folder.write().settings()))


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "class renamed": (lambda c: c["categories"][0].update(name="bird"), "class 7 was fish and is bird"),
    "class added": (lambda c: c["categories"].append({"id": 9, "name": "eel"}), "class 9 was absent and is eel"),
    "box dropped": (lambda c: c["annotations"].pop(), "had 12 boxes and has 11"),
    "box edited": (lambda c: c["annotations"][3]["bbox"].__setitem__(0, 3), "records of train.json were edited"),
    "classes swapped": (lambda c: [a.update(category_id=10 - a["category_id"]) for a in c["annotations"]], "edited"),
    "image dropped": (lambda c: (c["images"].pop(), c.update(annotations=c["annotations"][:10])), "6 images and has 5"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_told(folder: CocoFolder, name: str):
    before = _digest(folder)
    change, told = CHANGES[name]
    change(folder.train)
    if name.startswith("class "):
        change(folder.val)
    assert told in str(digest_change(before, _digest(folder)))


def test_the_order_of_the_records_is_no_change(folder: CocoFolder):
    before = _digest(folder)
    for key in ("images", "annotations", "categories"):
        folder.train[key].reverse()
    assert digest_change(before, _digest(folder)) is None


def test_a_lost_split_is_a_change(folder: CocoFolder):
    before = _digest(folder)
    (folder.root / "val.json").unlink()
    assert digest_change(before, data_digest(read_source(folder.settings()))) == "a val file is no longer there"


def test_opened_data_carries_its_digest(folder: CocoFolder):
    digest = open_data(folder.write().settings()).digest
    assert digest["classes"] == {"3": "crab", "7": "fish"}
    assert (digest["splits"]["train"]["images"], digest["splits"]["train"]["boxes"]) == (6, 12)
