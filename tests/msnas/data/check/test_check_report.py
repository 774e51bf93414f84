"""The report of `msnas check`: counts, strict JSON, and a text that can be read."""

import io
import json
import subprocess
import sys

import pytest
from coco_folders import CocoFolder, real_data
from rich.console import Console

from msnas.data.check.data_report import check_data
from msnas.data.check.report_text import report_text
from msnas.data.settings import DataSettings


def _text(folder: CocoFolder) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(report_text(check_data(folder.write().settings())))
    text: str = console.file.getvalue()
    return text


def test_counts_are_those_of_the_files(folder: CocoFolder):
    folder.train["annotations"][0]["iscrowd"] = 1
    folder.train["annotations"] = folder.train["annotations"][:10]
    report = check_data(folder.write().settings())
    train, val = report.splits
    assert (train.images, train.boxes, train.crowds, train.empty) == (6, 9, 1, 1)
    assert (val.images, val.boxes, val.crowds, val.empty) == (4, 8, 0, 0)
    assert [(item.id, item.name, item.train, item.val) for item in report.classes] == [
        (3, "crab", 4, 4),
        (7, "fish", 5, 4),
    ]


def test_json_is_strict_and_complete(folder: CocoFolder):
    folder.train["annotations"][0]["bbox"] = [0, 0, float("nan"), 1]
    content = json.loads(check_data(folder.write().settings()).to_json(), parse_constant=pytest.fail)
    assert content["sound"] is False
    assert content["counts"] == {"refused": 1, "repaired": 0, "noted": 0}
    assert content["faults"][0]["record"] == "annotations[0] (id 1)"
    assert content["recalls"][0]["base_stride"] == 4
    assert len(content["recalls"][0]["choices"]) == 103
    assert content["groups"][4]["high"] is None
    assert content["suggestion"]["fit"]["base_stride"] in (2, 4)


def test_data_without_anything_readable_still_has_a_report(folder: CocoFolder):
    folder.write()
    for split in ("train", "val"):
        (folder.root / f"{split}.json").write_text("{")
    report = check_data(folder.settings())
    assert (report.groups, report.recalls, report.suggestion, report.sizes) == ((), (), None, None)
    json.loads(report.to_json())
    Console(file=io.StringIO()).print(report_text(report))
    assert report.exit_code == 1


def test_text_names_file_record_and_field(folder: CocoFolder):
    folder.train["annotations"][5]["bbox"] = [1, 2, 3, float("inf")]
    text = _text(folder)
    assert "refused: 1 x train.json: every number of the box must be finite" in text
    assert "annotations[5] (id 6), bbox: got [1, 2, 3, inf]" in text
    assert "Not sound" in text


def test_text_shows_a_few_of_many(folder: CocoFolder):
    for item in folder.train["annotations"]:
        item["bbox"][2] = 500
    text = _text(folder)
    assert "repaired: 12 x train.json: the box reaches over the border: clipped" in text
    assert "... and 7 more" in text
    assert "Sound" in text


def test_names_are_never_taken_for_markup(folder: CocoFolder):
    folder.train["categories"][0]["name"] = folder.val["categories"][0]["name"] = "[bold]魚[/nothing]"
    folder.train["images"][0]["file_name"] = "[/red].png"
    text = _text(folder)
    assert "[bold]魚[/nothing]" in text
    assert "[/red].png" in text


def test_progress_counts_every_image(folder: CocoFolder):
    told: list[tuple[int, int]] = []
    check_data(folder.write().settings(), progress=lambda done, total: told.append((done, total)))
    assert told == [(i, 10) for i in range(1, 11)]


def test_pictures_of_one_colour_are_noted(folder: CocoFolder):
    from PIL import Image

    folder.save(Image.new("RGB", (64, 48), (9, 9, 9)), "black.png", 64, 48)
    report = check_data(folder.write().settings())
    assert [fault.rule for fault in report.faults] == ["the picture is of one colour"]
    assert report.exit_code == 0


def test_checking_needs_no_torch(folder: CocoFolder):
    folder.write()
    code = (
        "import sys; from msnas.data.check.data_report import check_data; from msnas.data.settings import DataSettings;"
        f"check_data(DataSettings(root={str(folder.root)!r})); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", ["aquarium", "bccd", "coco_cc"])
def test_real_data_is_faultless(name: str):
    report = check_data(DataSettings(root=str(real_data(name)), short_side=128, long_side=213))
    assert report.faults == ()
    assert report.exit_code == 0
