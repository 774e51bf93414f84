"""Who is held out, and that it never depends on anything but the seed and the image."""

import random

import pytest
from coco_folders import CocoFolder
from hypothesis import given
from hypothesis import strategies as st

from msnas.data.annotations import Annotation, ImageRecord
from msnas.data.opening import open_data
from msnas.data.settings import SearchVal
from msnas.data.splits import hold_out, search_val_size
from msnas.errors import DataError

BOX = Annotation(1, 1, (0, 0, 5, 5), (0, 0, 5, 5), 25, False)


def _images(number: int, boxed: int | None = None) -> list[ImageRecord]:
    boxed = number if boxed is None else boxed
    return [ImageRecord(i, f"{i}.png", 9, 9, i, [BOX] if i < boxed else []) for i in range(number)]


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 2**62))
def test_every_image_is_on_one_side_and_at_most_half_are_held_out(images: int, number: int, seed: int):
    kept, held = hold_out(_images(images), number, seed, "test")
    assert sorted(kept + held) == list(range(images))
    assert len(held) == min(number, images // 2)


@given(st.integers(2, 40), st.integers(1, 20), st.integers(2, 4), st.integers(0, 99))
def test_both_sides_have_boxes_where_two_images_have(images: int, number: int, boxed: int, seed: int):
    records = _images(images, min(boxed, images))
    for side in hold_out(records, number, seed, "test"):
        assert any(records[index].has_boxes for index in side)


def test_the_order_of_the_file_does_not_matter():
    records = _images(30)
    held = {records[index].id for index in hold_out(records, 8, 3, "test")[1]}
    random.Random(0).shuffle(records)
    assert {records[index].id for index in hold_out(records, 8, 3, "test")[1]} == held


def test_seeds_and_purposes_draw_different_images():
    records = _images(100)
    drawn = {tuple(hold_out(records, 10, seed, purpose)[1]) for seed in (0, 1) for purpose in ("val", "search_val")}
    assert len(drawn) == 4


def test_records_of_one_file_stay_together():
    records = _images(20)
    for record in records:
        record.file_name = f"{record.id // 2}.png"
    for seed in range(20):
        held = set(hold_out(records, 7, seed, "test")[1])
        assert len(held) == 6
        assert all(index ^ 1 in held for index in held)


@pytest.mark.parametrize(
    ("images", "expected"), [(100_000, 5000), (20_000, 2000), (600, 60), (224, 50), (84, 42), (3, 1), (1, 0)]
)
def test_search_val_is_a_tenth_between_its_bounds_and_at_most_half(images: int, expected: int):
    assert search_val_size(images, SearchVal()) == expected


def test_search_val_is_held_out_of_supernet_training(folder: CocoFolder):
    splits = open_data(folder.write().settings(search_val=SearchVal(minimum=2)), seed=5)
    assert len(splits.search_val) == 2
    assert sorted(splits.supernet_train.image_ids + splits.search_val.image_ids) == splits.train.image_ids
    again = open_data(folder.settings(search_val=SearchVal(minimum=2)), seed=5)
    assert again.search_val.image_ids == splits.search_val.image_ids


def test_without_a_validation_file_a_part_is_split_off_and_said(folder: CocoFolder):
    folder.write()
    (folder.root / "val.json").unlink()
    splits = open_data(folder.settings(val_fraction=0.34), seed=1)
    assert (len(splits.train), len(splits.val)) == (4, 2)
    assert not set(splits.train.image_ids) & set(splits.val.image_ids)
    assert any("no validation file" in note for note in splits.notes)


def test_one_image_cannot_be_split(folder: CocoFolder):
    folder.train["images"] = folder.train["images"][:1]
    folder.train["annotations"] = folder.train["annotations"][:2]
    folder.write()
    (folder.root / "val.json").unlink()
    with pytest.raises(DataError, match="only 1 image"):
        open_data(folder.settings())
