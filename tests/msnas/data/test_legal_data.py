"""Unusual but legal data: accepted, and what is dropped or clipped is listed and counted."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from coco_folders import CocoFolder, picture
from PIL import Image
from pycocotools import mask as coco_mask

from msnas.data.batches import Batches
from msnas.data.check.data_report import check_data
from msnas.data.images import read_rgb
from msnas.data.opening import open_data

DEEP = np.random.default_rng(0).integers(0, 65536, (48, 64)).astype(np.uint16)


def _text(folder: CocoFolder, content: bytes) -> None:
    (folder.root / "train.json").write_bytes(content)


def _ids(folder: CocoFolder) -> None:
    for record in folder.train["images"]:
        record["id"] = 10**30 + record["id"]
    for record in folder.train["annotations"]:
        record["id"], record["image_id"] = 2**64 + record["id"], 10**30 + record["image_id"]
    for content in (folder.train, folder.val):
        for record in content["annotations"]:
            record["category_id"] *= -(10**20)
        for record in content["categories"]:
            record["id"] *= -(10**20)


def _zero_ids(folder: CocoFolder) -> None:
    for record in folder.train["images"] + folder.train["annotations"]:
        record["id"] -= 1
    for record in folder.train["annotations"]:
        record["image_id"] -= 1


def _rename(folder: CocoFolder, name: str) -> None:
    (folder.images / name).parent.mkdir(parents=True, exist_ok=True)
    (folder.images / "train1.png").rename(folder.images / name)
    folder.train["images"][1]["file_name"] = name


def _many_boxes(folder: CocoFolder) -> None:
    for i in range(500):
        record = {"id": 1000 + i, "image_id": 1, "category_id": 7, "bbox": [i / 10, i / 20, 3, 3], "area": 9}
        folder.train["annotations"].append(record | {"iscrowd": 0})


def _segment(folder: CocoFolder, value: Any, crowd: int = 0) -> None:
    folder.train["annotations"][1] |= {"segmentation": value, "iscrowd": crowd}


def _rle() -> dict[str, Any]:
    mask = np.zeros((48, 64), np.uint8, order="F")
    mask[5:20, 8:30] = 1
    rle = coco_mask.encode(mask)
    return {"size": [48, 64], "counts": rle["counts"].decode()}


def _thin(folder: CocoFolder) -> None:
    folder.save(picture(10_000, 3), "thin.png", 10_000, 3)


BEFORE: dict[str, Callable[[CocoFolder], object]] = {
    "huge and negative ids": _ids,
    "ids from zero": _zero_ids,
    "ids written 1.0": lambda folder: folder.train["annotations"][1].update(id=2.0, image_id=1.0, category_id=7.0),
    "grey": lambda folder: folder.save(picture(64, 48).convert("L"), "a.jpg", 64, 48),
    "grey with alpha": lambda folder: folder.save(picture(64, 48).convert("LA"), "a.png", 64, 48),
    "CMYK": lambda folder: folder.save(picture(64, 48).convert("CMYK"), "a.jpg", 64, 48),
    "16-bit PNG": lambda folder: folder.save(Image.fromarray(DEEP), "a.png", 64, 48),
    "16-bit TIFF": lambda folder: folder.save(Image.fromarray(DEEP), "a.tif", 64, 48),
    "32-bit integers": lambda folder: folder.save(Image.fromarray(DEEP.astype(np.int32)), "a.tif", 64, 48),
    "palette": lambda folder: folder.save(picture(64, 48).convert("P"), "a.png", 64, 48),
    "palette with transparency": lambda folder: folder.save(
        picture(64, 48).convert("P"), "a.png", 64, 48, transparency=bytes(range(256))
    ),
    "GIF": lambda folder: folder.save(picture(64, 48).convert("P"), "a.gif", 64, 48),
    "RGBA": lambda folder: folder.save(picture(64, 48).convert("RGBA"), "a.png", 64, 48),
    "black and white": lambda folder: folder.save(picture(64, 48).convert("1"), "a.png", 64, 48),
    "BMP": lambda folder: folder.save(picture(64, 48), "a.bmp", 64, 48),
    "WebP": lambda folder: folder.save(picture(64, 48), "a.webp", 64, 48),
    "image content of another suffix": lambda folder: folder.save(picture(64, 48), "a.png", 64, 48, format="JPEG"),
    "one pixel": lambda folder: folder.save(picture(1, 1), "a.png", 1, 1),
    "10000 x 3 pixels": _thin,
    "3 x 10000 pixels": lambda folder: folder.save(picture(3, 10_000), "a.png", 3, 10_000),
    "unicode names": lambda folder: _rename(folder, "fisch 魚 🐟 é.png"),
    "names with spaces and brackets": lambda folder: _rename(folder, "a [b] 'c' \"d\" %20.png"),
    "names with folders": lambda folder: _rename(folder, "deep/er/./a.png"),
    "name with dots": lambda folder: _rename(folder, "..a..png"),
    "class names with markup": lambda folder: [
        content["categories"][0].update(name="[red]魚[/red]") for content in (folder.train, folder.val)
    ],
    "500 boxes": _many_boxes,
    "image without boxes": lambda folder: folder.train.update(annotations=folder.train["annotations"][2:]),
    "class without boxes": lambda folder: [
        content["categories"].append({"id": 90, "name": "none"}) for content in (folder.train, folder.val)
    ],
    "two classes of one name": lambda folder: [
        content["categories"][0].update(name="crab") for content in (folder.train, folder.val)
    ],
    "no iscrowd": lambda folder: [item.pop("iscrowd") for item in folder.train["annotations"]],
    "iscrowd and segmentation null": lambda folder: [
        item.update(iscrowd=None, segmentation=None) for item in folder.train["annotations"]
    ],
    "keys that nobody reads null": lambda folder: [
        record.update(score=None, extra=None, supercategory=None) for part in folder.train.values() for record in part
    ],
    "iscrowd true": lambda folder: folder.train["annotations"][1].update(iscrowd=True),
    "unknown keys": lambda folder: folder.train.update(info={}, licenses=[], videos=[1]),
    "empty segmentation": lambda folder: _segment(folder, []),
    "no segmentation": lambda folder: _segment(folder, None),
    "polygon of two points": lambda folder: _segment(folder, [[1, 1, 2, 2], [4, 4, 9, 4, 9, 9]]),
    "compressed RLE": lambda folder: _segment(folder, _rle()),
    "plain RLE": lambda folder: _segment(folder, {"size": [48, 64], "counts": [100, 50, 48 * 64 - 150]}),
    "crowd as RLE": lambda folder: _segment(folder, _rle(), crowd=1),
    "same picture in both": lambda folder: folder.val["images"][0].update(file_name="train1.png"),
    "two records of one file": lambda folder: folder.train["images"][1].update(file_name="train0.png"),
    "very large finite box": lambda folder: folder.train["annotations"][1].update(bbox=[-1e308, 0, 1.7e308, 9]),
}  # fmt: skip
AFTER: dict[str, Callable[[CocoFolder], object]] = {
    "UTF-8 BOM": lambda folder: _text(folder, json.dumps(folder.train).encode("utf-8-sig")),
    "UTF-16": lambda folder: _text(folder, json.dumps(folder.train).encode("utf-16")),
    "keys twice": lambda folder: _text(folder, b'{"images": [], ' + json.dumps(folder.train).encode()[1:]),
    "images in a linked folder": lambda folder: (
        folder.images.rename(folder.root / "store"), folder.images.symlink_to(folder.root / "store"),
    ),
    "link inside the folder": lambda folder: (
        (folder.images / "train1.png").rename(folder.images / "real.png"),
        (folder.images / "train1.png").symlink_to(folder.images / "real.png"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", [*BEFORE, *AFTER])
def test_unusual_data_is_sound_and_gives_batches(folder: CocoFolder, name: str):
    BEFORE.get(name, lambda _: None)(folder)
    folder.write()
    AFTER.get(name, lambda _: None)(folder)
    report = check_data(folder.settings())
    assert [str(fault) for fault in report.faults if fault.severity == "refused"] == []
    assert report.exit_code == 0
    splits = open_data(folder.settings(jitter=(0.5, 1.5)))
    for images, targets in map(Batches(splits.train, 6, seed=1, jitter=(0.5, 1.5)).batch, range(3)):
        for image, target in zip(images, targets, strict=True):
            boxes = target["boxes"]
            assert image.dtype == torch.uint8
            assert isinstance(boxes, torch.Tensor)
            assert bool((boxes[:, 2:] > boxes[:, :2]).all())
            assert bool(torch.isfinite(boxes).all())


REPAIRED: dict[str, tuple[list[float], str]] = {
    "no width": ([5, 5, 0, 10], "dropped"),
    "no height": ([5, 5, 10, 0], "dropped"),
    "nothing": ([0, 0, 0, 0], "dropped"),
    "a hair": ([5, 5, 0.001, 10], "dropped"),
    "right of the image": ([64, 5, 10, 10], "dropped"),
    "left of the image": ([-20, 5, 10, 10], "dropped"),
    "below the image": ([5, 400, 10, 10], "dropped"),
    "over the right border": ([60, 5, 10, 10], "clipped"),
    "over the left border": ([-5, 5, 10, 10], "clipped"),
    "over every border": ([-5, -5, 100, 100], "clipped"),
}


@pytest.mark.parametrize("name", REPAIRED)
def test_box_that_is_dropped_or_clipped_is_listed(folder: CocoFolder, name: str):
    bbox, deed = REPAIRED[name]
    folder.train["annotations"][1] |= {"bbox": bbox, "area": bbox[2] * bbox[3]}
    report = check_data(folder.write().settings())
    assert [(f.file, f.record, f.field, f.severity) for f in report.faults] == [
        ("train.json", "annotations[1] (id 2)", "bbox", "repaired")
    ]
    assert report.faults[0].rule.endswith(deed)
    assert report.exit_code == 0


@pytest.mark.parametrize("name", REPAIRED)
def test_what_is_dropped_or_clipped_is_said_when_training_opens_the_data(folder: CocoFolder, name: str):
    bbox, deed = REPAIRED[name]
    folder.train["annotations"][1] |= {"bbox": bbox, "area": bbox[2] * bbox[3]}
    splits = open_data(folder.write().settings())
    assert any(deed in note and "1 x" in note for note in splits.notes)
    boxes = splits.train.load(0)[1]["boxes"]
    assert isinstance(boxes, torch.Tensor)
    assert len(boxes) == (1 if deed == "dropped" else 2)
    assert bool((boxes >= 0).all() and (boxes[:, 2] <= 43).all() and (boxes[:, 3] <= 32).all())


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tif"])
def test_of_several_pictures_in_a_file_the_first_is_taken_and_that_is_noted(folder: CocoFolder, suffix: str):
    first, second = (picture(64, 48, seed=seed) for seed in (1, 2))
    folder.save(first, f"film.{suffix}", 64, 48, save_all=True, append_images=[second])
    [fault] = check_data(folder.write().settings()).faults
    assert (fault.record, fault.severity, fault.got) == ("images[0] (id 1)", "noted", f"'film.{suffix}'")
    assert fault.rule == "the file holds several pictures: the first is taken"
    pixels = read_rgb(folder.images / f"film.{suffix}", 64, 48).astype(int)
    assert abs(pixels - np.asarray(first)).mean() < abs(pixels - np.asarray(second)).mean()


def test_a_hundredth_of_a_pixel_over_the_border_is_rounding(folder: CocoFolder):
    folder.train["annotations"][1] |= {"bbox": [54.01, 5, 10, 10], "area": 100}
    assert check_data(folder.write().settings()).faults == ()


@pytest.mark.parametrize("write", [lambda item: item.pop("area"), lambda item: item.update(area=None)])
def test_missing_area_is_filled_in_and_listed(folder: CocoFolder, write: Callable[[dict[str, Any]], object]):
    write(folder.train["annotations"][1])
    splits = open_data(folder.write().settings())
    assert splits.train.ground_truth().anns[2]["area"] == 23 * 15
    assert any("area" in note or "width x height" in note for note in splits.notes)


def test_dropped_boxes_leave_the_ground_truth_and_clipped_ones_stay_as_they_are(folder: CocoFolder):
    folder.val["annotations"][0]["bbox"] = [60, 5, 10, 10]
    folder.val["annotations"][1]["bbox"] = [60, 5, 0, 10]
    truth = open_data(folder.write().settings()).val.ground_truth()
    assert truth.anns[1]["bbox"] == [60, 5, 10, 10]
    assert 2 not in truth.anns


def test_coco_2017_layout_is_found(folder: CocoFolder):
    folder.write()
    root = folder.root
    (root / "annotations").mkdir()
    for split in ("train", "val"):
        (root / f"{split}.json").rename(root / "annotations" / f"instances_{split}2017.json")
        (root / f"{split}2017").mkdir()
        for path in folder.images.glob(f"{split}*.png"):
            path.rename(root / f"{split}2017" / path.name)
    folder.images.rmdir()
    splits = open_data(folder.settings())
    assert (len(splits.train), len(splits.val)) == (6, 4)
    assert check_data(folder.settings()).exit_code == 0


@pytest.mark.parametrize("absolute", [True, False])
def test_overrides_take_the_place_of_the_layout(folder: CocoFolder, absolute: bool):
    folder.write()
    for before, after in (("train.json", "a.json"), ("val.json", "b.json"), ("images", "pictures")):
        (folder.root / before).rename(folder.root / after)
    base = f"{folder.root}/" if absolute else ""
    names = {"train_json": f"{base}a.json", "val_json": f"{base}b.json", "images": f"{base}pictures"}
    splits = open_data(folder.settings(**names, **({"root": None} if absolute else {})))
    assert (len(splits.train), len(splits.val)) == (6, 4)


def test_data_is_found_from_another_folder(folder: CocoFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder.write()
    monkeypatch.chdir(tmp_path)
    assert len(open_data(folder.settings(root="data")).train) == 6
