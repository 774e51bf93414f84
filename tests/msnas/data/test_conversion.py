"""YOLO text and Pascal VOC files become COCO folders that say the same."""

import json
from pathlib import Path

import pytest
from coco_folders import picture

from msnas.cli import main
from msnas.data.conversion import convert
from msnas.errors import ConfigError, DataError


def _yolo(root: Path, line: str = "1 0.5 0.5 0.25 0.5\n") -> Path:
    for split in ("train", "valid"):
        for kind in ("images", "labels"):
            (root / split / kind).mkdir(parents=True)
        for i in range(3):
            picture(64, 48, seed=i + 9 * len(split)).save(root / split / "images" / f"{split}{i}.png")
            (root / split / "labels" / f"{split}{i}.txt").write_text(line)
    (root / "data.yaml").write_text("names: [crab, fish]\nnc: 2\n")
    return root


def _voc(root: Path, database: str = "Unknown") -> Path:
    (root / "Annotations").mkdir(parents=True)
    (root / "JPEGImages").mkdir()
    for i in range(3):
        picture(64, 48, seed=i).save(root / "JPEGImages" / f"{i}.png")
        box = "<bndbox><xmin>9</xmin><ymin>5</ymin><xmax>29</xmax><ymax>15</ymax></bndbox>"
        text = f"<annotation><source><database>{database}</database></source><object><name>crab</name>{box}</object>"
        (root / "Annotations" / f"{i}.xml").write_text(f"{text}</annotation>")
    (root / "ImageSets" / "Main").mkdir(parents=True)
    (root / "ImageSets" / "Main" / "val.txt").write_text("2\n")
    return root


def test_yolo_centres_become_corners_in_pixels(tmp_path: Path):
    assert convert(_yolo(tmp_path / "y"), tmp_path / "out") == {"train": 3, "val": 3}
    content = json.loads((tmp_path / "out" / "train.json").read_text())
    assert content["images"][0] == {"id": 1, "file_name": "train/images/train0.png", "width": 64, "height": 48}
    assert content["categories"] == [{"id": 1, "name": "crab"}, {"id": 2, "name": "fish"}]
    assert content["annotations"][0]["bbox"] == [24, 12, 16, 24]
    assert content["annotations"][0]["category_id"] == 2


@pytest.mark.parametrize("fifth", ["0.9", "17"])
def test_a_score_or_the_id_of_a_track_behind_a_yolo_box_is_left_out(tmp_path: Path, fifth: str):
    convert(_yolo(tmp_path / "y", f"0 0.5 0.5 0.25 0.5 {fifth}\n"), tmp_path / "out")
    item = json.loads((tmp_path / "out" / "val.json").read_text())["annotations"][0]
    assert item["bbox"] == [24, 12, 16, 24]


def test_a_yolo_polygon_becomes_a_segmentation_and_its_bounds(tmp_path: Path):
    convert(_yolo(tmp_path / "y", "0 0 0 0.5 0 0.5 0.5\n"), tmp_path / "out")
    item = json.loads((tmp_path / "out" / "val.json").read_text())["annotations"][0]
    assert item["segmentation"] == [[0, 0, 32, 0, 32, 24]]
    assert item["bbox"] == [0, 0, 32, 24]


@pytest.mark.parametrize(
    ("database", "expected"), [("Unknown", [9, 5, 20, 10]), ("The VOC2007 Database", [8, 4, 21, 11])]
)
def test_voc_counts_pixels_from_1_and_labelling_tools_do_not(tmp_path: Path, database: str, expected: list[int]):
    assert convert(_voc(tmp_path / "v", database), tmp_path / "out") == {"train": 2, "val": 1}
    content = json.loads((tmp_path / "out" / "val.json").read_text())
    assert content["images"][0]["file_name"] == "JPEGImages/2.png"
    assert content["annotations"][0]["bbox"] == expected


@pytest.mark.parametrize(
    "line",
    ["0 0.5 0.5 0.5", "fish 0.5 0.5 0.5 0.5", "7 0.5 0.5 0.5 0.5", "-1 0.5 0.5 0.1 0.1", "0 32 24 16 12"],
)
def test_a_line_that_is_no_label_is_named(tmp_path: Path, line: str):
    with pytest.raises(DataError, match=r"labels/train0\.txt: (line 1|a label has class 7)") as refused:
        convert(_yolo(tmp_path / "y", line), tmp_path / "out")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_a_folder_of_neither_format_is_refused(tmp_path: Path):
    (tmp_path / "d").mkdir()
    with pytest.raises(ConfigError, match="neither YOLO text"):
        convert(tmp_path / "d", tmp_path / "out")


def test_the_command_checks_what_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    root = _yolo(tmp_path / "y")
    assert main(["convert", str(root), f"out={tmp_path / 'out'}"]) == 0
    printed = capsys.readouterr().out
    assert "Sound" in printed
    assert "3 images in train.json, 3 images in val.json" in printed
