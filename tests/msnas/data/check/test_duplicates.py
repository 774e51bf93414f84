"""The same picture in both splits is found, different pictures are not."""

import numpy as np
import pytest
from coco_folders import CocoFolder, real_data
from PIL import Image, ImageEnhance

from msnas.data.check.data_report import check_data
from msnas.data.check.duplicates import near_copies, near_duplicates
from msnas.data.settings import DataSettings


def _small(image: Image.Image) -> np.ndarray:
    return np.asarray(image.resize((32, 32), Image.Resampling.BILINEAR))


TURNS = {turn.name: turn for turn in Image.Transpose}  # quarters, and mirrored


@pytest.mark.parametrize("change", ["again", "smaller", "brighter", *TURNS])
def test_copies_are_found(tmp_path, change: str):
    coarse = np.random.default_rng(0).integers(0, 256, (20, 9, 12, 3), np.uint8)
    pictures = [Image.fromarray(one).resize((320, 240), Image.Resampling.BICUBIC) for one in coarse]
    pictures[3].save(tmp_path / "a.jpg", quality=50)
    with Image.open(tmp_path / "a.jpg") as saved:
        saved.load()
    copy = {
        "again": saved,
        "smaller": pictures[3].resize((90, 70)),
        "brighter": ImageEnhance.Brightness(pictures[3]).enhance(1.15),
        **{name: pictures[3].transpose(turn) for name, turn in TURNS.items()},
    }[change]
    found = near_duplicates(
        np.stack([_small(one) for one in pictures]), np.stack([_small(pictures[0].rotate(45)), _small(copy)])
    )
    assert [(pair.first, pair.second) for pair in found] == [(3, 1)]


def test_pictures_of_one_colour_are_like_no_other():
    flat = np.full((3, 32, 32, 3), 90, np.uint8)
    assert near_duplicates(flat, flat) == []


def test_empty_splits_have_no_duplicates():
    assert near_duplicates(np.zeros((0, 32, 32, 3), np.uint8), np.zeros((2, 32, 32, 3), np.uint8)) == []


def test_thousands_of_pictures_are_compared_in_blocks():
    rng = np.random.default_rng(0)
    first = rng.integers(0, 256, (5000, 32, 32, 3), np.uint8)
    found = near_duplicates(first, first[[4999, 17, 2048]])
    assert sorted((pair.first, pair.second) for pair in found) == [(17, 1), (2048, 2), (4999, 0)]


def test_a_film_is_one_group_though_its_ends_differ():
    rng = np.random.default_rng(0)
    ends = [np.kron(rng.integers(0, 256, (8, 8, 3)), np.ones((4, 4, 1))) for _ in range(2)]
    film = np.stack([(ends[0] * (1 - t) + ends[1] * t).astype(np.uint8) for t in np.linspace(0, 1, 30)])
    other = rng.integers(0, 256, (3, 32, 32, 3), np.uint8)
    assert near_duplicates(film[:1], film[-1:]) == []
    assert near_copies(np.concatenate([film, other, other[:1]])) == [list(range(30)), [30, 33]]


@pytest.mark.parametrize("turn", TURNS)
def test_a_turned_copy_in_the_same_split_is_a_near_copy(turn: str):
    rng = np.random.default_rng(0)
    coarse = [Image.fromarray(one) for one in rng.integers(0, 256, (6, 9, 12, 3), np.uint8)]
    copies = [one.resize((320, 240), Image.Resampling.BICUBIC) for one in coarse]
    copies.append(copies[2].transpose(TURNS[turn]))
    assert near_copies(np.stack([_small(one) for one in copies])) == [[2, 6]]


def test_near_copies_are_found_across_blocks():
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (2100, 32, 32, 3), np.uint8)
    pictures[[2099, 2051]] = pictures[[3, 2050]]
    assert near_copies(pictures) == [[3, 2099], [2050, 2051]]


def test_a_picture_in_both_splits_is_reported_by_name(folder: CocoFolder):
    (folder.images / "val2.png").write_bytes((folder.images / "train4.png").read_bytes())
    report = check_data(folder.write().settings())
    assert [(pair.train, pair.val) for pair in report.duplicates] == [("train4.png", "val2.png")]
    assert report.exit_code == 0


def test_shots_of_one_scene_are_found_and_blood_cells_are_not():
    pairs = check_data(DataSettings(root=str(real_data("aquarium")), short_side=128, long_side=213)).duplicates
    assert [(pair.train, pair.val) for pair in pairs] == [("IMG_8403.jpg", "IMG_8404.jpg")]
    assert check_data(DataSettings(root=str(real_data("bccd")), short_side=128, long_side=213)).duplicates == ()


@pytest.mark.parametrize("same", ["file", "source", "group"])
def test_what_both_files_share_is_noted(folder: CocoFolder, same: str):
    for content, name in ((folder.train, "train1.png"), (folder.val, "./train1.png")):
        changes = {"file": {"file_name": name}, "source": {"extra": {"name": "a.jpg"}}, "group": {"video": 7}}
        content["images"][1] |= changes[same]
    report = check_data(folder.write().settings(group="video" if same == "group" else None))
    assert [(fault.file, fault.severity) for fault in report.faults] == [("val.json", "noted")]
    assert "also in train.json: its score will be too good" in report.faults[0].rule
