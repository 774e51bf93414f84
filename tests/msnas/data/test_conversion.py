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
    assert item["area"] == 32 * 24 / 2
    assert item["bbox"] == [0, 0, 32, 24]


def test_a_folder_without_any_label_is_refused_before_anything_is_written(tmp_path: Path):
    root = _yolo(tmp_path / "y")
    for text in root.rglob("*.txt"):
        text.unlink()
    with pytest.raises(ConfigError, match="has no text file for any of 6 images"):
        convert(root, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("behind", ["0.1 0.2 2 0 0 0 0.3 0.4 1", "0.1 0.2 2 0 0 0 0.3 0.4 1 0.9"])
def test_keypoints_behind_a_yolo_box_are_left_out_and_counted(
    tmp_path: Path, behind: str, caplog: pytest.LogCaptureFixture
):
    root = _yolo(tmp_path / "y", f"0 0.5 0.5 0.25 0.5 {behind}\n")
    (root / "data.yaml").write_text("names: [crab]\nkpt_shape: [3, 3]\n")
    with caplog.at_level("INFO", "msnas"):
        convert(root, tmp_path / "out")
    item = json.loads((tmp_path / "out" / "val.json").read_text())["annotations"][0]
    assert item == {"id": 1, "image_id": 1, "category_id": 1, "bbox": [24, 12, 16, 24], "area": 384, "iscrowd": 0}
    assert "Left out: 6 sets of keypoints" in caplog.text


@pytest.mark.parametrize("numbers", ["0.1 0.2 2 0 0 0 0.3 0.4 1", "0.1 0.2 2 0 0 0 0.3 0.4 1 0.5 0.5 2"])
def test_keypoints_that_no_description_tells_of_are_no_polygon(tmp_path: Path, numbers: str):
    with pytest.raises(DataError, match=r"train0\.txt: line 1: .* data\.yaml has their kpt_shape"):
        convert(_yolo(tmp_path / "y", f"0 0.5 0.5 0.25 0.5 {numbers}\n"), tmp_path / "out")


@pytest.mark.parametrize("shape", ["17", "[a, 3]", "{x: 1}"])
def test_a_shape_of_keypoints_that_is_none_is_refused(tmp_path: Path, shape: str):
    root = _yolo(tmp_path / "y")
    (root / "data.yaml").write_text(f"names: [crab, fish]\nkpt_shape: {shape}\n")
    with pytest.raises(DataError, match=r"data\.yaml: kpt_shape must be"):
        convert(root, tmp_path / "out")


@pytest.mark.parametrize(("line", "said"), [("0 0 0 0.5 0 0.5 0.5 0 0.5", True), ("0 0 0 0.5 0 0.5 0.5", False)])
def test_four_corners_are_said_to_be_oriented_boxes(
    tmp_path: Path, line: str, said: bool, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level("INFO", "msnas"):
        convert(_yolo(tmp_path / "y", line), tmp_path / "out")
    assert ("6 labels are four corners, as of oriented boxes (OBB): `bbox` is the upright box" in caplog.text) == said


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


def test_pictures_beyond_the_limit_need_an_option_that_convert_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    words = ["convert", str(_yolo(tmp_path / "y")), f"out={tmp_path / 'out'}"]
    assert main([*words, "data.pixel_limit=3071"]) == 1
    assert "train0.png: the image must have at most 3,071 pixels" in capsys.readouterr().err
    assert main([*words, "data.pixel_limit=3072"]) == 0


def _images(out: Path, split: str) -> list[str]:
    return [image["file_name"] for image in json.loads((out / f"{split}.json").read_text())["images"]]


def test_the_description_of_yolo_folders_states_the_splits(tmp_path: Path):
    root = _yolo(tmp_path / "y")
    for split, name in (("train", "a"), ("valid", "b")):
        (root / split).rename(root / name)
    (root / "data.yaml").write_text("train: ../b/images\nval: ../a/images\nnames: [crab, fish]\n")
    (root / "args.yaml").write_text("names: {0: not, 1: these}\n")
    assert convert(root, tmp_path / "out") == {"train": 3, "val": 3}
    assert all(name.startswith("b/") for name in _images(tmp_path / "out", "train"))
    categories = json.loads((tmp_path / "out" / "train.json").read_text())["categories"]
    assert [one["name"] for one in categories] == ["crab", "fish"]


@pytest.mark.parametrize("val", ["train/images", "."])
def test_training_images_that_are_stated_twice_stay_training_images(
    tmp_path: Path, val: str, caplog: pytest.LogCaptureFixture
):
    root = _yolo(tmp_path / "y")
    (root / "data.yaml").write_text(f"train: train/images\nval: {val}\nnames: [crab, fish]\n")
    with caplog.at_level("INFO", "msnas"):
        assert convert(root, tmp_path / "out") == {"train": 3, "val": 3}
    assert "3 images are stated as train and as val: they stay train." in caplog.text


def test_lists_of_images_state_the_splits(tmp_path: Path):
    root = _yolo(tmp_path / "y")
    (root / "val.txt").write_text("./train/images/train1.png\n")
    assert convert(root, tmp_path / "out") == {"train": 2, "val": 4}


def test_folders_named_with_a_year_are_splits(tmp_path: Path):
    root = _yolo(tmp_path / "y")
    (root / "train").rename(root / "train2017")
    (root / "valid").rename(root / "val2017")
    assert convert(root, tmp_path / "out") == {"train": 3, "val": 3}


def test_classes_of_one_name_stay_apart(tmp_path: Path):
    root = _yolo(tmp_path / "y")
    (root / "data.yaml").write_text("names: [fish, fish]\n")
    convert(root, tmp_path / "out")
    content = json.loads((tmp_path / "out" / "train.json").read_text())
    assert content["categories"] == [{"id": 1, "name": "fish"}, {"id": 2, "name": "fish"}]
    assert content["annotations"][0]["category_id"] == 2


def test_numbers_that_a_mapping_of_names_leaves_out_stand_for_themselves(tmp_path: Path):
    root = _yolo(tmp_path / "y", "5 0.5 0.5 0.25 0.5\n")
    (root / "data.yaml").write_text("names: {0: crab, 5: fish}\n")
    convert(root, tmp_path / "out")
    categories = json.loads((tmp_path / "out" / "train.json").read_text())["categories"]
    assert [one["name"] for one in categories] == ["crab", "1", "2", "3", "4", "fish"]


def test_labels_may_be_in_utf_16_as_powershell_writes_them(tmp_path: Path):
    root = _yolo(tmp_path / "y")
    (root / "train" / "labels" / "train0.txt").write_text("0 0.5 0.5 0.25 0.5\n", encoding="utf-16")
    assert convert(root, tmp_path / "out") == {"train": 3, "val": 3}


@pytest.mark.parametrize("kind", ["0.7", "inf", "nan"])
def test_a_class_that_is_no_whole_number_is_refused(tmp_path: Path, kind: str):
    with pytest.raises(DataError, match=r"train0\.txt: line 1"):
        convert(_yolo(tmp_path / "y", f"{kind} 0.5 0.5 0.25 0.5\n"), tmp_path / "out")


@pytest.mark.parametrize("names", ["ab", "5", "{x: a}"])
def test_names_that_are_no_list_are_refused(tmp_path: Path, names: str):
    root = _yolo(tmp_path / "y")
    (root / "data.yaml").write_text(f"names: {names}\n")
    with pytest.raises(DataError, match=r"data\.yaml: names must be a list"):
        convert(root, tmp_path / "out")


@pytest.mark.parametrize("name", ["classes.txt", "train/labels/train0.txt"])
def test_text_in_another_encoding_is_refused_by_name(tmp_path: Path, name: str):
    root = _yolo(tmp_path / "y")
    (root / "data.yaml").unlink()
    (root / name).write_bytes("zell\u00e9".encode("cp1252"))
    with pytest.raises(DataError, match="must be text in UTF-8"):
        convert(root, tmp_path / "out")


def test_voc_images_of_one_name_in_two_folders_keep_their_own_boxes(tmp_path: Path):
    root = _voc(tmp_path / "v")
    for folder in ("Annotations", "JPEGImages"):
        for split in ("train", "val"):
            (root / folder / split).mkdir()
    for split, number in (("train", 0), ("val", 1)):
        (root / "Annotations" / f"{number}.xml").rename(root / "Annotations" / split / "same.xml")
        (root / "JPEGImages" / f"{number}.png").rename(root / "JPEGImages" / split / "same.png")
    (root / "ImageSets" / "Main" / "val.txt").unlink()
    assert convert(root, tmp_path / "out") == {"train": 2, "val": 1}
    assert _images(tmp_path / "out", "val") == ["JPEGImages/val/same.png"]
    assert "JPEGImages/train/same.png" in _images(tmp_path / "out", "train")


def test_a_voc_file_with_two_images_of_its_name_is_refused(tmp_path: Path):
    root = _voc(tmp_path / "v")
    for folder in ("a", "b"):
        (root / folder).mkdir()
        picture(64, 48, seed=1).save(root / folder / "1.png")
    with pytest.raises(DataError, match=r"1\.xml: one image of that name must exist .* JPEGImages/1\.png, a/1\.png"):
        convert(root, tmp_path / "out")


def test_what_no_voc_list_names_is_left_out_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    root = _voc(tmp_path / "v")
    (root / "ImageSets" / "Main" / "train.txt").write_text("0.png\n")
    with caplog.at_level("INFO", "msnas"):
        assert convert(root, tmp_path / "out") == {"train": 1, "val": 1}
    assert "Left out: 1 images that no list of ImageSets/Main names." in caplog.text


def test_voc_files_in_a_chinese_encoding_are_read(tmp_path: Path):
    root = _voc(tmp_path / "v")
    file = root / "Annotations" / "0.xml"
    text = file.read_text().replace("crab", "\u87f9")
    file.write_bytes(f'<?xml version="1.0" encoding="gb2312"?>{text}'.encode("gb2312"))
    convert(root, tmp_path / "out")
    categories = json.loads((tmp_path / "out" / "train.json").read_text())["categories"]
    assert "\u87f9" in [one["name"] for one in categories]


def test_voc_files_in_an_unknown_encoding_are_refused_by_name(tmp_path: Path):
    root = _voc(tmp_path / "v")
    (root / "Annotations" / "0.xml").write_text('<?xml version="1.0" encoding="moon"?><annotation></annotation>')
    with pytest.raises(DataError, match=r"0\.xml must be XML: unknown encoding: moon"):
        convert(root, tmp_path / "out")


def test_other_xml_files_make_no_voc_folder(tmp_path: Path):
    root = _yolo(tmp_path / "y")
    (root / "project.xml").write_text("<annotations><version>1.1</version></annotations>")
    assert convert(root, tmp_path / "out") == {"train": 3, "val": 3}
