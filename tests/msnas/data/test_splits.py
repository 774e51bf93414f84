"""Who is held out, and that it never depends on anything but the seed and the image."""

import random

import pytest
from coco_folders import CocoFolder
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from msnas.data.check.data_report import check_data
from msnas.data.opening import open_data
from msnas.data.records import Annotation, ImageRecord
from msnas.data.settings import SearchVal
from msnas.data.splits import hold_out, search_val_size
from msnas.errors import ConfigError, DataError

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


@given(st.integers(4, 40), st.integers(1, 12), st.integers(1, 6), st.integers(0, 99))
def test_a_group_is_never_divided(images: int, number: int, size: int, seed: int):
    together = [index // size for index in range(images)]
    kept, held = hold_out(_images(images), number, seed, "test", together)
    assert not {together[index] for index in kept} & {together[index] for index in held}
    assert len(held) <= images // 2
    assert bool(held) == (together[-1] > 0)


def test_groups_of_one_are_the_draw_without_groups():
    for seed in range(20):
        assert hold_out(_images(40), 9, seed, "test", list(range(40))) == hold_out(_images(40), 9, seed, "test")


def _classed(*classes: int) -> list[ImageRecord]:
    boxes = [Annotation(i, one, BOX.bbox, BOX.xyxy, 25, False) for i, one in enumerate(classes)]
    return [ImageRecord(i, f"{i}.png", 9, 9, i, [box]) for i, box in enumerate(boxes)]


def test_every_class_of_two_images_is_held_out():
    records = _classed(*[1] * 40, 2, 2, 3, 3, 4)
    for seed in range(20):
        held = hold_out(records, 8, seed, "test")[1]
        assert len(held) == 8
        assert {1, 2, 3} <= {records[index].annotations[0].category_id for index in held}


def test_a_draw_that_has_every_class_stays_as_it_was():
    plain = _images(40)
    for seed in range(20):
        kept, held = hold_out(plain, 9, seed, "test")
        classes = [0] * 40
        classes[held[0]] = classes[kept[0]] = 1
        assert hold_out(_classed(*classes), 9, seed, "test") == (kept, held)


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


def _copies(folder: CocoFolder, **record: object) -> CocoFolder:
    """Every second training image is the one before it, brighter."""
    for i in (0, 2, 4):
        with Image.open(folder.images / f"train{i}.png") as image:
            ImageEnhance.Brightness(image).enhance(0.95).save(folder.images / f"train{i + 1}.png")
        for j in (i, i + 1):
            folder.train["images"][j] |= {key: f"{value}{i}" for key, value in record.items()}
    return folder.write()


def test_near_copies_are_on_one_side_and_said(folder: CocoFolder):
    _copies(folder)
    for seed in range(6):
        splits = open_data(folder.settings(search_val=SearchVal(minimum=2)), seed=seed)
        assert [id_ + 1 for id_ in splits.search_val.image_ids[:1]] == splits.search_val.image_ids[1:]
    assert "train.json: 6 images are near copies, in 3 groups: no split divides them." in splits.notes
    assert "train.json: 6 images are near copies" in " ".join(check_data(folder.settings()).notes)


def test_near_copies_are_divided_where_they_are_not_looked_for(folder: CocoFolder):
    _copies(folder)
    settings = folder.settings(search_val=SearchVal(minimum=2), near_copies=False)
    drawn = [open_data(settings, seed=seed).search_val.image_ids for seed in range(6)]
    assert any(first + 1 != second for first, second in drawn)


@pytest.mark.parametrize("settings", [{"group": "video"}, {"group": "meta.patient"}, {}], ids=str)
def test_images_of_one_video_patient_or_source_are_on_one_side(folder: CocoFolder, settings: dict[str, str]):
    for i, record in enumerate(folder.train["images"]):
        record |= {"video": i // 3, "meta": {"patient": i // 3}}
        record |= {} if settings else {"extra": {"name": f"{i // 3}.jpg"}}
    splits = open_data(folder.write().settings(search_val=SearchVal(minimum=3), **settings))
    assert splits.search_val.image_ids in ([1, 2, 3], [4, 5, 6])


def test_augmented_copies_are_on_one_side_in_whatever_folder_they_lie(folder: CocoFolder):
    for i, record in enumerate(folder.train["images"]):
        name = f"{('day', 'night/far')[i % 2]}/{i // 2}_png.rf.{i:032x}.png"
        (folder.images / name).parent.mkdir(parents=True, exist_ok=True)
        (folder.images / record["file_name"]).rename(folder.images / name)
        record["file_name"] = name
    for seed in range(6):
        splits = open_data(folder.write().settings(search_val=SearchVal(minimum=2)), seed=seed)
        assert [id_ + 1 for id_ in splits.search_val.image_ids[:1]] == splits.search_val.image_ids[1:]


def test_a_key_that_no_image_has_is_no_group(folder: CocoFolder):
    with pytest.raises(ConfigError, match=r"data\.group must be a key of images in train\.json"):
        open_data(folder.write().settings(group="vidoe"))


def test_two_ways_to_write_a_path_are_one_file(folder: CocoFolder):
    folder.train["images"][1]["file_name"] = "./train0.png"
    folder.train["images"][3]["file_name"] = ".//train2.png"
    notes = open_data(folder.write().settings()).notes
    assert any("4 images name one file, in 2 groups" in note for note in notes)


def test_one_film_is_divided_all_the_same_and_that_is_said(folder: CocoFolder):
    for i in range(1, 6):
        (folder.images / f"train{i}.png").write_bytes((folder.images / "train0.png").read_bytes())
    splits = open_data(folder.write().settings(search_val=SearchVal(minimum=2)))
    assert len(splits.search_val) == 2
    assert any("All images look alike" in note for note in splits.notes)


@pytest.mark.parametrize("boxed", [0, 1])
def test_data_with_boxes_on_one_image_are_refused_by_check_and_training(folder: CocoFolder, boxed: int):
    folder.train["annotations"] = folder.train["annotations"][: 2 * boxed] or [
        folder.train["annotations"][0] | {"iscrowd": 1}
    ]
    assert check_data(folder.write().settings()).exit_code == 1
    with pytest.raises(DataError, match=r"boxes, but has none|at least one usable box"):
        open_data(folder.settings())


def test_data_with_boxes_on_one_image_can_be_opened_where_nothing_is_scored(folder: CocoFolder):
    folder.train["annotations"] = folder.train["annotations"][:2]
    assert len(open_data(folder.write().settings(), scoring=False).train) == 6


def test_the_counts_of_search_val_are_said(folder: CocoFolder):
    notes = open_data(folder.write().settings(search_val=SearchVal(minimum=2))).notes
    assert notes == ("search_val: 2 of 6 training images, 4 boxes of 2 of 2 classes.",)


def test_a_share_of_search_val_is_kept_for_the_finalists(folder: CocoFolder):
    settings = folder.write().settings(search_val=SearchVal(minimum=3, fraction=0.5), selection=0.4)
    splits, plain = open_data(settings), open_data(folder.settings(search_val=SearchVal(minimum=3, fraction=0.5)))
    assert splits.selection_val is not None
    assert plain.selection_val is None
    assert (len(splits.search_val), len(splits.selection_val)) == (2, 1)
    assert sorted(splits.search_val.image_ids + splits.selection_val.image_ids) == plain.search_val.image_ids
