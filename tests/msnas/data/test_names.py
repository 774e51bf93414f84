"""File names that no file has: the one file that can be meant is named, and taken only where that is asked for."""

import unicodedata
from pathlib import Path

import pytest
from coco_folders import CocoFolder, picture

from msnas.data.check.data_report import check_data
from msnas.data.opening import open_data

# name in the record -> name of the file
MISNAMED = {
    "images/a.png": "a.png",
    "deep\\a.png": "deep/a.png",
    "A.PNG": "a.png",
    "a%20b.png": "a b.png",
    unicodedata.normalize("NFD", "é.png"): "é.png",
    "/home/me/data/a.png": "a.png",
    "../upload/a.png": "a.png",
    "a.jpg": "a.png",
    "a.png": "deep/er/a.png",
}


def _misname(folder: CocoFolder, record: str, file: str) -> None:
    (folder.images / file).parent.mkdir(parents=True, exist_ok=True)
    (folder.images / "train1.png").rename(folder.images / file)
    folder.train["images"][1]["file_name"] = record
    folder.write()


@pytest.mark.parametrize("record", MISNAMED)
def test_the_only_candidate_is_named_and_not_taken(folder: CocoFolder, record: str):
    _misname(folder, record, MISNAMED[record])
    [fault] = check_data(folder.settings()).faults
    assert fault.severity == "refused"
    assert f"{MISNAMED[record]!r} may be meant" in fault.got
    assert "data.repair_names=true" in fault.got


@pytest.mark.parametrize("record", MISNAMED)
def test_the_only_candidate_is_taken_where_that_is_asked_for(folder: CocoFolder, record: str):
    _misname(folder, record, MISNAMED[record])
    [fault] = check_data(folder.settings(repair_names=True)).faults
    assert (fault.record, fault.severity) == ("images[1] (id 2)", "repaired")
    assert open_data(folder.settings(repair_names=True)).train.file(1) == folder.images / MISNAMED[record]


@pytest.mark.parametrize("repair_names", [True, False])
def test_of_two_candidates_none_is_taken(folder: CocoFolder, repair_names: bool):
    _misname(folder, "a.png", "one/a.png")
    (folder.images / "two").mkdir()
    picture(64, 48).save(folder.images / "two" / "a.png")
    [fault] = check_data(folder.settings(repair_names=repair_names)).faults
    assert fault.severity == "refused"
    assert "may be meant" not in fault.got


def test_links_into_a_store_are_followed_only_where_they_are_allowed(folder: CocoFolder, tmp_path: Path):
    store = tmp_path / "store"
    store.mkdir()
    (folder.images / "train1.png").rename(store / "f00")
    (folder.images / "train1.png").symlink_to(store / "f00")
    folder.write()
    assert "data.links=true" in check_data(folder.settings()).faults[0].got
    assert check_data(folder.settings(links=True)).faults == ()
    assert len(open_data(folder.settings(links=True, memory_limit=0)).train.load(1)[0]) == 3


@pytest.mark.parametrize("key", ["width", "height"])
def test_a_size_of_null_is_read_from_the_image(folder: CocoFolder, key: str):
    folder.train["images"][1][key] = None
    [fault] = check_data(folder.write().settings()).faults
    assert (fault.record, fault.severity) == ("images[1] (id 2)", "repaired")


def test_missing_sizes_are_read_from_the_images(folder: CocoFolder):
    for record in folder.train["images"]:
        del record["width"], record["height"]
    report = check_data(folder.write().settings())
    assert {(fault.field, fault.severity) for fault in report.faults} == {("width, height", "repaired")}
    assert open_data(folder.settings()).train.images[0].width == 64


def test_a_repaired_name_gives_the_missing_size(folder: CocoFolder):
    _misname(folder, "images/a.png", "a.png")
    for record in folder.train["images"]:
        del record["width"], record["height"]
    assert check_data(folder.write().settings(repair_names=True)).count("refused") == 0


def test_a_link_to_nothing_is_to_be_fetched(folder: CocoFolder):
    (folder.images / "train1.png").unlink()
    (folder.images / "train1.png").symlink_to("store")
    [fault] = check_data(folder.write().settings()).faults
    assert "fetch what it leads to" in fault.got


def test_a_picture_beyond_the_limit_is_refused_with_the_option_that_raises_it(folder: CocoFolder):
    report = check_data(folder.write().settings(pixel_limit=64 * 48 - 1))
    assert {fault.rule for fault in report.faults} == {"the image must have at most 3,071 pixels"}
    assert "data.pixel_limit" in report.faults[0].got
    assert check_data(folder.settings(pixel_limit=64 * 48)).faults == ()


def test_a_heic_file_names_its_plug_in(folder: CocoFolder):
    (folder.images / "a.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(99))
    folder.train["images"][1]["file_name"] = "a.HEIC"
    [fault] = check_data(folder.write().settings()).faults
    assert "pip install pillow-heif" in fault.got
