"""A second start opens the images alone that have changed, and notices each of those."""

import os
from pathlib import Path
from typing import Any

import pytest
from coco_folders import HEIGHT, WIDTH, CocoFolder, picture

from msnas.data import images as reading
from msnas.data import seen_images
from msnas.data.opening import Splits, open_data
from msnas.errors import DataError


@pytest.fixture(autouse=True)
def kept_of_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Few and new images are kept too."""
    monkeypatch.setattr(seen_images, "FEWEST", 1)
    monkeypatch.setattr(seen_images, "SETTLED", -1e18)
    monkeypatch.setenv("MSNAS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are opened."""
    names: list[str] = []
    real = reading._opened

    def noting(path: Path, limit: int) -> Any:
        names.append(path.name)
        return real(path, limit)

    monkeypatch.setattr(reading, "_opened", noting)
    return names


def start(folder: CocoFolder) -> Splits:
    return open_data(folder.settings(memory_limit=0))


@pytest.fixture
def started(folder: CocoFolder, opened: list[str]) -> CocoFolder:
    """Data that were opened once; two of the images are near copies."""
    picture(WIDTH, HEIGHT, seed=1).save(folder.images / "train0.png")
    picture(WIDTH, HEIGHT, seed=1).save(folder.images / "train1.png")
    start(folder.write())
    assert {name for name in opened if opened.count(name) == 3} == {f"train{i}.png" for i in range(6)}
    opened.clear()
    return folder


def test_a_folder_that_did_not_change_is_not_opened_again_and_is_the_same(
    started: CocoFolder, opened: list[str], monkeypatch: pytest.MonkeyPatch
):
    second = start(started)
    assert opened == []
    monkeypatch.setattr(seen_images, "FEWEST", 99)
    plain = start(started)
    assert (second.notes, second.search_val.image_ids) == (plain.notes, plain.search_val.image_ids)
    assert any("near copies" in note for note in second.notes)


def test_an_image_that_changed_is_opened_again_alone(started: CocoFolder, opened: list[str]):
    picture(WIDTH, HEIGHT, seed=9).save(started.images / "train1.png")
    assert not any("near copies" in note for note in start(started).notes)
    assert set(opened) == {"train1.png"}


def test_an_image_that_became_another_size_is_refused_at_every_start(started: CocoFolder):
    picture(WIDTH + 2, HEIGHT, seed=9).save(started.images / "val2.png")
    for _ in range(2):
        with pytest.raises(DataError, match="66 x 48 in the file"):
            start(started)


def test_an_image_that_was_replaced_by_another_of_its_size_and_time_is_opened_again(
    started: CocoFolder, opened: list[str]
):
    path, other = started.images / "train1.png", started.images / "other"
    before = path.stat()
    other.write_bytes(path.read_bytes()[::-1])
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)
    with pytest.raises(DataError, match=r"train1\.png"):
        start(started)


def test_an_image_that_vanished_is_refused(started: CocoFolder):
    (started.images / "train1.png").unlink()
    with pytest.raises(DataError, match="the image must exist"):
        start(started)


def test_an_image_whose_record_says_another_size_is_refused(started: CocoFolder):
    started.train["images"][1]["width"] += 1
    with pytest.raises(DataError, match="the record's size must be"):
        start(started.write())


def test_images_under_another_limit_of_pixels_are_opened_again(started: CocoFolder):
    with pytest.raises(DataError, match="pixel"):
        open_data(started.settings(memory_limit=0, pixel_limit=100))


def test_a_damaged_cache_is_passed_over(started: CocoFolder, opened: list[str], tmp_path: Path):
    for path in (tmp_path / "cache" / "images").iterdir():
        path.write_bytes(path.read_bytes()[:50])
    start(started)
    assert opened
