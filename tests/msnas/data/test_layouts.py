"""Where files are found: the layouts of tools, the user's overrides, and what a message lists where nothing fits."""

import json
from pathlib import Path

import pytest
from coco_folders import CocoFolder

from msnas.config.compose import compose
from msnas.data.check.data_report import check_data
from msnas.data.layouts import find_files
from msnas.data.opening import open_data, open_split
from msnas.data.settings import DataSettings, ShapesSettings
from msnas.data.source import image_sizes
from msnas.errors import ConfigError
from msnas.setup.make_space import input_size

LAYOUTS = {  # name -> annotations and images of train and of val
    "Roboflow": ("train/_annotations.coco.json", "train", "valid/_annotations.coco.json", "valid"),
    "MMDetection": ("annotations/train.json", "train", "annotations/val.json", "val"),
    "folders in images": ("annotations/train.json", "images/train", "annotations/val.json", "images/val"),
    "CVAT": ("annotations/instances_Train.json", "images/Train", "annotations/instances_Val.json", "images/Val"),
    "CVAT, whole words": (
        "annotations/instances_Training.json", "images/Training",
        "annotations/instances_Validation.json", "images/Validation",
    ),
    "Roboflow, upper case": ("Train/_annotations.coco.json", "Train", "Valid/_annotations.coco.json", "Valid"),
    "COCO 2017, images in one folder": (
        "annotations/instances_train2017.json", "images/train2017",
        "annotations/instances_val2017.json", "images/val2017",
    ),
    "COCO 2014": (
        "annotations/instances_train2014.json", "train2014", "annotations/instances_val2014.json", "val2014",
    ),
    "FiftyOne": ("train/labels.json", "train/data", "val/labels.json", "val/data"),
    "a folder for each split": ("train/annotations.json", "train/images", "val/annotations.json", "val/images"),
    "files beside folders": ("train.json", "train", "val.json", "val"),
    "files beside folders of images": ("train.json", "images/train", "val.json", "images/val"),
    "COCO without a year": ("annotations/instances_train.json", "train", "annotations/instances_val.json", "val"),
}  # fmt: skip


def _lay(folder: CocoFolder, layout: tuple[str, str, str, str]) -> None:
    for split, annotations, images in (("train", *layout[:2]), ("val", *layout[2:])):
        for place in ((folder.root / annotations).parent, folder.root / images):
            place.mkdir(parents=True, exist_ok=True)
        (folder.root / annotations).write_text(json.dumps(getattr(folder, split)))
        for path in folder.images.glob(f"{split}*.png"):
            path.rename(folder.root / images / path.name)


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_layout_of_a_tool_is_known_by_itself(folder: CocoFolder, name: str):
    _lay(folder, LAYOUTS[name])
    report = check_data(folder.settings())
    assert (report.faults, [split.images for split in report.splits]) == ((), [6, 4])


@pytest.mark.parametrize("prefix", ["", "images/"])
@pytest.mark.parametrize("file", ["annotations/instances_default.json", "result.json"])
def test_one_file_of_a_labelling_tool_is_for_training(folder: CocoFolder, file: str, prefix: str):
    (folder.root / file).parent.mkdir(exist_ok=True)
    for image in folder.train["images"]:
        image["file_name"] = prefix + image["file_name"]
    (folder.root / file).write_text(json.dumps(folder.train))
    report = check_data(folder.settings(repair_names=file != "result.json"))
    assert (report.count("refused"), [split.images for split in report.splits]) == (0, [6])


def test_each_split_may_have_its_images_elsewhere(folder: CocoFolder):
    folder.write()
    for split in ("train", "val"):
        (folder.root / f"{split}-pictures").mkdir()
        for path in folder.images.glob(f"{split}*.png"):
            path.rename(folder.root / f"{split}-pictures" / path.name)
    settings = folder.settings(train_images="train-pictures", val_images="val-pictures")
    assert check_data(settings).faults == ()


def test_the_json_files_and_folders_that_are_there_are_listed(folder: CocoFolder):
    (folder.root / "labels").mkdir()
    (folder.root / "labels" / "mine.json").write_text("{}")
    [fault] = check_data(folder.settings()).faults
    assert "'labels/mine.json'" in fault.got
    assert "'images/'" in fault.got
    assert "data.train_json=" in fault.got


def test_a_test_split_needs_its_file_only(folder: CocoFolder):
    (folder.root / "test.json").write_text(json.dumps(folder.val))
    data = open_split(folder.settings(), "test")
    assert (len(data), data.classes) == (4, ["crab", "fish"])


@pytest.mark.parametrize("name", ["valid/_annotations.coco.json", "annotations/instances_val2017.json", "my_val.json"])
def test_a_file_of_validation_that_no_layout_reads_is_named(folder: CocoFolder, name: str):
    folder.write()
    (folder.root / name).parent.mkdir(exist_ok=True)
    (folder.root / "val.json").rename(folder.root / name)
    (folder.root / "evaluation.json").touch()
    [note] = [note for note in check_data(folder.settings()).notes if "not read" in note]
    assert note.startswith(f"Named as validation and not read: {name}; data.val_json=FILE")
    assert not any("not read" in note for note in check_data(folder.settings(val_json=name)).notes)


def test_of_two_layouts_validation_files_the_one_that_is_not_read_is_named(folder: CocoFolder):
    folder.write()
    (folder.root / "annotations").mkdir()
    for name in ("instances_val2017.json", "captions_val2017.json"):
        (folder.root / "annotations" / name).write_text(json.dumps(folder.val))
    [note] = check_data(folder.settings()).notes
    assert note.startswith("Named as validation and not read: annotations/instances_val2017.json;")


def test_a_split_without_a_file_is_refused_by_name(folder: CocoFolder):
    with pytest.raises(ConfigError, match=r"annotations of the test split, .* holds .*'val\.json'.*data\.test_json"):
        open_split(folder.write().settings(), "test")


def test_a_split_alone_is_the_one_of_all(folder: CocoFolder):
    folder.write()
    (folder.root / "val.json").unlink()
    whole = open_data(folder.settings(val_fraction=0.34), seed=1).val
    for decode in (True, False):
        assert open_split(folder.settings(val_fraction=0.34), "val", seed=1, decode=decode).image_ids == whole.image_ids


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_sizes_are_read_in_every_encoding(folder: CocoFolder, encoding: str):
    folder.write()
    (folder.root / "train.json").write_bytes(json.dumps(folder.train).encode(encoding))
    assert image_sizes(folder.settings()) == [(48, 64)] * 6


def test_sizes_are_read_again_when_the_file_has_changed(folder: CocoFolder):
    folder.write()
    assert len(image_sizes(folder.settings())) == 6
    folder.train["images"].pop()
    folder.write()
    assert len(image_sizes(folder.settings())) == 5


def test_commands_find_the_training_file_as_the_check_does(folder: CocoFolder, tmp_path: Path):
    folder.write()
    (folder.root / "train.json").rename(folder.root / "mine.json")
    words = ["data=coco", f"data.root={folder.root}", "data.train_json=mine.json", "input=auto"]
    assert input_size(compose(words)) == (832, 1088)


def test_a_folder_called_shapes_is_a_folder():
    assert DataSettings.from_mapping({"kind": "coco", "name": "shapes", "root": "D"}).shapes is None
    drawn = DataSettings.from_mapping({"kind": "shapes", "name": "mine", "size": 64, "train": 3, "val": 2})
    assert drawn.shapes == ShapesSettings(size=64, train=3, val=2)
    with pytest.raises(ConfigError, match="coco or shapes"):
        DataSettings.from_mapping({"kind": "voc", "root": "D"})


def test_home_is_expanded(folder: CocoFolder, monkeypatch: pytest.MonkeyPatch):
    folder.write()
    monkeypatch.setenv("HOME", str(folder.root.parent))
    settings = folder.settings(root=f"~/{folder.root.name}", train_json=f"~/{folder.root.name}/train.json")
    assert find_files(settings).train.annotations == folder.root / "train.json"


def test_a_root_that_has_moved_says_how_to_name_the_new_one(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"data\.root=NEW"):
        find_files(DataSettings(root=str(tmp_path / "gone")))
