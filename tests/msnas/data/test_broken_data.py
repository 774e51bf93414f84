"""Every fault that training refuses: named by file, record and field, exit code 1, one line from
`open_data`.
"""

import gzip
import json
import os
from collections.abc import Callable
from typing import Any

import pytest
from coco_folders import CocoFolder, picture
from PIL import Image

from msnas.data.check.data_report import check_data
from msnas.data.opening import open_data
from msnas.errors import DataError

NAN, INFINITY = float("nan"), float("inf")
SEGMENTATIONS: dict[str, Any] = {}
BROKEN: dict[str, tuple[Callable[[CocoFolder], object], str, str]] = {}


def _set(section: str, key: str, value: Any) -> Callable[[CocoFolder], None]:
    return lambda folder: folder.train[section][1].update({key: value})


def _drop(section: str, key: str) -> Callable[[CocoFolder], object]:
    return lambda folder: folder.train[section][1].pop(key)


def _case(name: str, record: str, field: str, breaks: Callable[[CocoFolder], object]) -> None:
    BROKEN[name] = breaks, record, field


for value, label in ((NAN, "nan"), (INFINITY, "infinity"), (-INFINITY, "minus infinity"), (10**400, "beyond floats")):
    _case(f"{label} in a box", "annotations[1]", "bbox", _set("annotations", "bbox", [1, value, 5, 5]))
for value, label in (
    ([1, 2, 3], "three numbers"), ([1, 2, 3, 4, 5], "five numbers"), (["1", "2", "3", "4"], "strings"),
    ([True, 2, 3, 4], "a bool"), ("1,2,3,4", "text"), (None, "null"), ({}, "an object"),
    ([[1, 2, 3, 4]], "a list in it"),
    ([1, 2, -3, 4], "negative width"), ([1, 2, 3, -4], "negative height"),
):  # fmt: skip
    _case(f"box of {label}", "annotations[1]", "bbox", _set("annotations", "bbox", value))
for key in ("image_id", "category_id", "id"):
    for value, label in (("2", "text"), (True, "a bool"), (None, "null"), (1.5, "a fraction"), ([1], "a list")):
        _case(f"annotation's {key} is {label}", "annotations[1]", key, _set("annotations", key, value))
    _case(f"annotation without {key}", "annotations[1]", key, _drop("annotations", key))
for key in ("id", "file_name"):
    _case(f"image without {key}", "images[1]", key, _drop("images", key))
    _case(f"image's {key} is null", "images[1]", key, _set("images", key, None))
for key in ("width", "height"):
    for value in (0, -5, "64", True, 64.5, NAN, 10**7, 10**400):
        _case(f"image's {key} is {str(value)[:9]}", "images[1]", key, _set("images", key, value))
for value in (7, "", "  ", ["a.png"], "a\0b.png", "\ud800.png", "x" * 5000 + ".png"):
    _case(f"file name {str(value)[:9]!a}", "images[1]", "file_name", _set("images", "file_name", value))
for value in ("../images/train1.png", "/etc/hostname", "..\\train1.png", "C:\\train1.png", "a/../../x.png", ".."):
    _case(f"file name leaves by {value}", "images[1]", "file_name", _set("images", "file_name", value))
for value in ("nothing.png", ".", "train1.png/x"):
    _case(f"no file at {value}", "images[1]", "file_name", _set("images", "file_name", value))
_case("box without bbox", "annotations[1]", "bbox", _drop("annotations", "bbox"))
_case("unknown image", "annotations[1]", "image_id", _set("annotations", "image_id", 99))
_case("unknown category", "annotations[1]", "category_id", _set("annotations", "category_id", 99))
_case("iscrowd is 2", "annotations[1]", "iscrowd", _set("annotations", "iscrowd", 2))
_case("iscrowd is text", "annotations[1]", "iscrowd", _set("annotations", "iscrowd", "0"))
for value in (NAN, -1, "12", True, INFINITY):
    _case(f"area is {value!r}", "annotations[1]", "area", _set("annotations", "area", value))
_case("annotation ids twice", "annotations[1]", "id", _set("annotations", "id", 1))
_case("image ids twice", "images[1]", "id", _set("images", "id", 1))
_case("category ids twice", "categories[1]", "id", _set("categories", "id", 7))
_case("category id is text", "categories[1]", "id", _set("categories", "id", "3"))
_case("category name is a number", "categories[1]", "name", _set("categories", "name", 3))
_case("category without name", "categories[1]", "name", _drop("categories", "name"))
for key in ("images", "annotations", "categories"):
    _case(f"no key {key}", "", key, lambda folder, key=key: folder.train.pop(key))
    _case(f"{key} is empty", "", key, lambda folder, key=key: folder.train.update({key: []}))
    _case(f"{key} is an object", "", key, lambda folder, key=key: folder.train.update({key: {"0": 1}}))
    _case(f"{key} holds text", f"{key}[1]", "", lambda folder, key=key: folder.train[key].insert(1, "x"))
for value, label in (
    ("text", "text"), (5, "a number"), ([1, 2, 3, 4, 5, 6], "a flat list"), ([[1, 2, 3, 4, 5, 6, 7]], "odd"),
    ([[1, 2, NAN, 4, 5, 6]], "nan"), ([["1", "2", "3", "4", "5", "6"]], "strings"), ([[[1, 2], [3, 4]]], "pairs"),
    ({}, "an empty object"), ({"size": [48, 64], "counts": [5]}, "short runs"),
    ({"size": [64, 48], "counts": [64 * 48]}, "size turned"), ({"size": [48, 64], "counts": "~~~"}, "bad letters"),
    ({"size": [48, 64], "counts": "0"}, "short string"), ({"size": [48, 64], "counts": [-1, 64 * 48 + 1]}, "negative"),
):  # fmt: skip
    SEGMENTATIONS[label] = value


@pytest.mark.parametrize("label", SEGMENTATIONS)
@pytest.mark.parametrize(("masks", "severity"), [(True, "refused"), (False, "noted")])
def test_broken_segmentations_are_refused_where_masks_are_learned_and_else_noted(
    folder: CocoFolder, label: str, masks: bool, severity: str
):
    for item in folder.train["annotations"] + folder.val["annotations"]:
        item["segmentation"] = [[5, 5, 9, 5, 9, 9]]
    folder.train["annotations"][1]["segmentation"] = SEGMENTATIONS[label]
    report = check_data(folder.write().settings(masks=masks))
    assert [(fault.record, fault.field, fault.severity) for fault in report.faults] == [
        ("annotations[1] (id 2)", "segmentation", severity)
    ]


@pytest.mark.parametrize("name", BROKEN)
def test_fault_is_named_and_refused(folder: CocoFolder, name: str):
    breaks, record, field = BROKEN[name]
    breaks(folder)
    folder.write()
    report = check_data(folder.settings())
    places = {
        (fault.file, fault.record.split(" (")[0], fault.field) for fault in report.faults if fault.severity == "refused"
    }
    assert ("train.json", record, field) in places
    assert report.exit_code == 1
    assert json.loads(report.to_json())["counts"]["refused"] >= 1
    with pytest.raises(DataError, match="msnas check") as refused:
        open_data(folder.settings())
    assert "\n" not in str(refused.value)


def _bytes(name: str, content: bytes) -> Callable[[CocoFolder], object]:
    return lambda folder: (folder.images / name).write_bytes(content)


def _cut(folder: CocoFolder, name: str, share: float, **options: Any) -> None:
    folder.save(picture(200, 200), name, 200, 200, **options)
    whole = (folder.images / name).read_bytes()
    (folder.images / name).write_bytes(whole[: int(len(whole) * share)])


def _fifo(folder: CocoFolder) -> None:
    (folder.images / "train1.png").unlink()
    os.mkfifo(folder.images / "train1.png")


def _link_out(folder: CocoFolder) -> None:
    picture(64, 48).save(folder.root / "outside.png")
    (folder.images / "train1.png").unlink()
    (folder.images / "train1.png").symlink_to(folder.root / "outside.png")


def _folder_out(folder: CocoFolder) -> None:
    (folder.root / "elsewhere").mkdir()
    picture(64, 48).save(folder.root / "elsewhere" / "a.png")
    (folder.images / "sub").symlink_to(folder.root / "elsewhere")
    folder.train["images"][1]["file_name"] = "sub/a.png"


def _link_to_itself(folder: CocoFolder) -> None:
    (folder.images / "train1.png").unlink()
    (folder.images / "train1.png").symlink_to(folder.images / "train1.png")


IMAGES: dict[str, Callable[[CocoFolder], object]] = {
    "absent": lambda folder: (folder.images / "train1.png").unlink(),
    "empty": _bytes("train1.png", b""),
    "no image": _bytes("train1.png", b"this is text"),
    "a header only": _bytes("train1.png", b"\x89PNG\r\n\x1a\n"),
    "truncated JPEG": lambda folder: _cut(folder, "cut.jpg", 0.5),
    "JPEG cut in its header": lambda folder: _cut(folder, "cut.jpg", 0.01),
    "truncated PNG": lambda folder: _cut(folder, "cut.png", 0.5),
    "truncated TIFF": lambda folder: _cut(folder, "cut.tif", 0.5),
    "truncated WebP": lambda folder: _cut(folder, "cut.webp", 0.5, lossless=True),
    "fifo": _fifo,
    "link out of the folder": _link_out,
    "folder that is a link out": _folder_out,
    "link to itself": _link_to_itself,
    "floating point": lambda folder: folder.save(Image.new("F", (64, 48), 0.5), "f.tif", 64, 48),
    "size of another image": lambda folder: folder.train["images"][1].update(width=65),
    "transposed size without EXIF": lambda folder: folder.train["images"][1].update(width=48, height=64),
}  # fmt: skip


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("memory_limit", [1e9, 0], ids=["decoded", "on demand"])
def test_unusable_image_is_named_and_refused(folder: CocoFolder, name: str, memory_limit: float):
    IMAGES[name](folder)
    folder.write()
    report = check_data(folder.settings())
    refused = [fault for fault in report.faults if fault.severity == "refused"]
    assert [fault.record.split("[")[0] for fault in refused] == ["images"]
    assert report.exit_code == 1
    only_shown_by_decoding = {"truncated JPEG", "truncated PNG", "truncated TIFF"}
    settings = folder.settings(memory_limit=memory_limit)
    if memory_limit == 0 and name in only_shown_by_decoding:
        data = open_data(settings).train
        with pytest.raises(DataError, match=r"train\.json: images\["):
            [data.load(index) for index in range(6)]
    else:
        with pytest.raises(DataError, match="msnas check"):
            open_data(settings)


def test_a_link_out_of_the_image_folder_is_told_with_where_it_leads(folder: CocoFolder):
    _link_out(folder)
    folder.write()
    with pytest.raises(DataError, match=r"must not leave the image folder.* leads to '/.*outside\.png'"):
        open_data(folder.settings())


FILES: dict[str, Callable[[CocoFolder], object]] = {
    "absent": lambda folder: (folder.root / "train.json").unlink(),
    "empty": lambda folder: (folder.root / "train.json").write_text(""),
    "cut": lambda folder: (folder.root / "train.json").write_text(json.dumps(folder.train)[:300]),
    "no JSON": lambda folder: (folder.root / "train.json").write_text("{'images': []}"),
    "a list": lambda folder: (folder.root / "train.json").write_text("[]"),
    "null": lambda folder: (folder.root / "train.json").write_text("null"),
    "binary": lambda folder: (folder.root / "train.json").write_bytes(bytes(range(256))),
    "too deep": lambda folder: (folder.root / "train.json").write_text("[" * 100_000),
    "endless number": lambda folder: (folder.root / "train.json").write_text('{"images": ' + "9" * 5000 + "}"),
    "a folder": lambda folder: ((folder.root / "train.json").unlink(), (folder.root / "train.json").mkdir()),
    "no image folder": lambda folder: folder.images.rename(folder.root / "pictures"),
}


def test_an_image_without_a_name_is_told_what_to_write(folder: CocoFolder):
    folder.train["images"][1]["file_name"] = None
    [fault] = check_data(folder.write().settings()).faults
    assert (fault.record, fault.field, fault.got) == ("images[1] (id 2)", "file_name", "None")
    assert fault.rule == "the value must be the file's path, relative to the image folder"


def test_a_file_of_another_encoding_is_told_what_to_do(folder: CocoFolder):
    folder.train["categories"][0]["name"] = "zell\u00e9"
    folder.write()
    (folder.root / "train.json").write_bytes(json.dumps(folder.train, ensure_ascii=False).encode("cp1252"))
    (fault,) = check_data(folder.settings()).faults
    assert fault.rule == "the file must be text in UTF-8, UTF-16 or UTF-32"
    assert fault.got.startswith("byte 0xe9 at ")
    assert fault.got.endswith("as in cp1252; save it as UTF-8")


@pytest.mark.parametrize(
    ("content", "rule", "got"),
    [
        (lambda folder: b" \n", "the annotation file must not be empty", "2 bytes"),
        (lambda folder: gzip.compress(b"{}"), "the annotation file must be plain JSON", "a gzip archive; unpack it"),
        (lambda folder: b'{"images": []}\n{"images": []}\n', "the file must be valid JSON", "not one a line"),
    ],
)
def test_a_file_that_is_no_single_object_is_told_why(folder: CocoFolder, content: Any, rule: str, got: str):
    folder.write()
    (folder.root / "train.json").write_bytes(content(folder))
    (fault,) = [fault for fault in check_data(folder.settings()).faults if fault.file == "train.json"]
    assert fault.rule == rule
    assert fault.got.endswith(got)


def test_a_missing_image_folder_is_told_with_what_is_there(folder: CocoFolder):
    folder.write()
    folder.images.rename(folder.root / "pictures")
    with pytest.raises(
        DataError, match=r"the image folder must exist.*holds .*'pictures/'; name it with data\.images="
    ):
        open_data(folder.settings())


def test_a_pointer_of_git_lfs_is_told(folder: CocoFolder):
    (folder.images / "train0.png").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n")
    folder.write()
    with pytest.raises(DataError, match="a pointer of Git LFS, fetch the image with `git lfs pull`"):
        open_data(folder.settings())


def test_a_link_to_nothing_is_told_also_where_it_leads_out_of_the_folder(folder: CocoFolder):
    (folder.images / "train0.png").unlink()
    (folder.images / "train0.png").symlink_to(folder.root.parent / "nowhere.png")
    folder.write()
    with pytest.raises(DataError, match="a link to nothing: fetch what it leads to"):
        open_data(folder.settings())


@pytest.mark.parametrize("name", FILES)
def test_unusable_file_is_named_and_refused(folder: CocoFolder, name: str):
    folder.write()
    FILES[name](folder)
    report = check_data(folder.settings())
    assert report.exit_code == 1
    assert report.faults[0].file == "train.json"
    assert len([fault for fault in report.faults if fault.file == "train.json"]) == 1
    with pytest.raises(DataError, match=r"train\.json"):
        open_data(folder.settings())


def test_every_fault_of_a_file_is_listed(folder: CocoFolder):
    for item in folder.train["annotations"]:
        item["bbox"] = [0, 0, NAN, 1]
    folder.train["annotations"][0]["image_id"] = 99
    report = check_data(folder.write().settings())
    assert report.count("refused") == 13


def test_only_crowds_are_nothing_to_learn(folder: CocoFolder):
    for item in folder.train["annotations"]:
        item["iscrowd"] = 1
    assert check_data(folder.write().settings()).exit_code == 1


def test_class_of_val_that_train_does_not_know_is_refused(folder: CocoFolder):
    folder.val["categories"][0]["id"] = 8
    for item in folder.val["annotations"]:
        item["category_id"] = 8
    report = check_data(folder.write().settings())
    assert [(fault.file, fault.record, fault.field) for fault in report.faults if fault.severity == "refused"] == [
        ("val.json", "categories (id 8)", "id")
    ]


def test_id_that_means_two_classes_is_refused(folder: CocoFolder):
    folder.val["categories"][0]["name"] = "bird"
    report = check_data(folder.write().settings())
    assert "'bird' here and 'fish' there" in report.faults[0].got
    assert report.exit_code == 1


def test_object_of_a_faulty_image_is_no_stranger(folder: CocoFolder):
    folder.train["images"][1]["width"] = 0
    report = check_data(folder.write().settings())
    assert [fault.field for fault in report.faults] == ["width"]


def test_masks_are_required_where_they_are_trained(folder: CocoFolder):
    report = check_data(folder.write().settings(masks=True))
    assert {fault.field for fault in report.faults} == {"segmentation"}
    assert report.exit_code == 1
