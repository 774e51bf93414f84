"""What an index gives back is what the reader reads, and it is never an older file's."""

import errno
import os
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from coco_folders import CocoFolder

from msnas.data import annotation_index
from msnas.data.annotation_index import indexed
from msnas.data.annotations import read_annotations
from msnas.data.check.data_report import check_data
from msnas.data.opening import open_data
from msnas.data.records import AnnotationFile, MappedAnnotations
from msnas.data.source import data_files, read_source

POLYGON, RLE = [[1, 2.5, 9, 2, 9, 1e1]], {"size": [48, 64], "counts": [100, 50, 48 * 64 - 150]}


@pytest.fixture(autouse=True)
def index_for_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Small and new files get an index too."""
    monkeypatch.setattr(annotation_index, "SMALLEST", 0)
    monkeypatch.setattr(annotation_index, "SETTLED", -1e18)
    monkeypatch.setenv("MSNAS_CACHE", str(tmp_path / "cache"))


def edit(section: str, row: int, **values: Any) -> Callable[[CocoFolder], None]:
    return lambda folder: folder.train[section][row].update(values)


def segmented(folder: CocoFolder) -> None:
    for item, value in zip(folder.train["annotations"], [POLYGON, RLE, [], None] * 3, strict=True):
        item["segmentation"] = value


EDITS: dict[str, Callable[[CocoFolder], object]] = {
    "nothing": lambda folder: None,
    "a crowd": edit("annotations", 2, iscrowd=1),
    "an image of crowds": lambda folder: [item.update(iscrowd=1) for item in folder.train["annotations"][:2]],
    "an image without objects": lambda folder: folder.train["annotations"].__delitem__(slice(2, 4)),
    "a box over the border": edit("annotations", 1, bbox=[50, -0.0, 30, 30]),
    "an empty box": edit("annotations", 1, bbox=[5, 5, 0, 7]),
    "a box twice": lambda folder: folder.train["annotations"].append({**folder.train["annotations"][3], "id": 99}),
    "no area": lambda folder: folder.train["annotations"][4].pop("area"),
    "odd numbers": edit("annotations", 5, bbox=[0.1 + 0.2, 1 / 3, 1e1, 5e-1], area=2.0000000001, iscrowd=1),
    "ids written 1.0": edit("annotations", 1, id=2.0, image_id=1.0, category_id=7.0),
    "negative ids": edit("annotations", 1, id=-(2**63)),
    "objects out of order": lambda folder: folder.train["annotations"].reverse(),
    "names of all kinds": edit("images", 3, file_name="deep/./fisch 魚 🐟.png"),
    "a picture's name": edit("images", 3, extra={"name": "ü\ud800"}),
    "two records of one file": edit("images", 3, file_name="train0.png"),
    "groups": lambda folder: [image.update(film={"id": i // 2}) for i, image in enumerate(folder.train["images"][:5])],
    "broken segmentations": edit("annotations", 0, segmentation="x"),
    "segmentations": segmented,
}


def read(folder: CocoFolder, **options: Any) -> AnnotationFile:
    return read_annotations(data_files(folder.settings()).train, **options)


def ask(folder: CocoFolder, reads: Callable[[], AnnotationFile] | None = None, **options: Any) -> AnnotationFile:
    return indexed(data_files(folder.settings()).train, reads or partial(read, folder, **options), **options)


def from_index(folder: CocoFolder, **options: Any) -> AnnotationFile:
    return ask(folder, lambda: pytest.fail("parsed"), **options)


def contents(part: AnnotationFile) -> str:
    """All that is told of a file, types and signs included."""
    images = [replace(image, annotations=list(image.annotations)) for image in part.images]
    return repr((part.files, part.categories, images, part.faults, part.digested(), [i.box_classes for i in images]))


@pytest.mark.parametrize("options", [{"group": "film.id", "masks": False}, {"masks": True}], ids=["group", "masks"])
@pytest.mark.parametrize("name", EDITS)
def test_an_index_gives_back_what_was_read(folder: CocoFolder, name: str, options: dict[str, Any]):
    EDITS[name](folder)
    if options["masks"] and name != "segmentations":
        for item in folder.train["annotations"]:
            item.setdefault("segmentation", POLYGON)
    folder.write()
    part = read(folder, **options)
    found = ask(folder, **options)
    if not part.refused:
        found = from_index(folder, **options)
        assert isinstance(found.images[0].annotations, MappedAnnotations)
    assert contents(found) == contents(part)


def test_segmentations_come_back_where_masks_are_learned(folder: CocoFolder):
    for item in folder.train["annotations"]:
        item["segmentation"] = RLE if item["id"] % 2 else POLYGON
    folder.write()
    ask(folder, masks=True)
    assert [item.segmentation for item in from_index(folder, masks=True).images[0].annotations] == [RLE, POLYGON]


def test_splits_batches_and_notes_are_the_same_from_an_index(folder: CocoFolder, monkeypatch: pytest.MonkeyPatch):
    EDITS["a box over the border"](folder)
    EDITS["a crowd"](folder)
    settings = folder.write().settings()
    first, second = open_data(settings), open_data(settings)
    monkeypatch.setattr(annotation_index, "SMALLEST", 1e9)
    parsed = open_data(settings)
    assert isinstance(second.train.images[0].annotations, MappedAnnotations)
    assert isinstance(parsed.train.images[0].annotations, list)
    for splits in (first, second):
        assert (splits.notes, splits.digest) == (parsed.notes, parsed.digest)
        assert splits.search_val.image_ids == parsed.search_val.image_ids
        assert splits.val.ground_truth().dataset == parsed.val.ground_truth().dataset
        for index in range(len(parsed.train)):
            torch.testing.assert_close(
                splits.train.load(index, seed=3), parsed.train.load(index, seed=3), rtol=0, atol=0
            )


def test_check_says_the_same_from_an_index(folder: CocoFolder, monkeypatch: pytest.MonkeyPatch):
    for name in ("a box over the border", "an empty box", "no area", "broken segmentations"):
        EDITS[name](folder)
    settings = folder.write().settings()
    check_data(settings)
    report = check_data(settings).to_json()
    monkeypatch.setattr(annotation_index, "SMALLEST", 1e9)
    assert report == check_data(settings).to_json()


def test_faults_of_an_index_name_the_file_as_it_is_named_now(folder: CocoFolder):
    EDITS["no area"](folder)
    ask(folder.write())
    files = replace(data_files(folder.settings()).train, label="another.json")
    assert {fault.file for fault in indexed(files, lambda: pytest.fail("parsed")).faults} == {"another.json"}


def test_a_changed_file_of_the_same_size_and_time_is_parsed_anew(folder: CocoFolder):
    ask(folder.write())
    path = folder.root / "train.json"
    state = path.stat()
    path.write_text(path.read_text().replace("fish", "fowl"))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert path.stat().st_size == state.st_size
    assert ask(folder).categories[7] == "fowl"


def test_a_changed_file_s_index_takes_the_place_of_the_old_one(folder: CocoFolder, tmp_path: Path):
    ask(folder.write())
    folder.train["annotations"].pop()
    ask(folder.write())
    assert contents(from_index(folder)) == contents(read(folder))
    assert len(list((tmp_path / "cache").rglob("*.index"))) == 1


def test_options_have_an_index_each(folder: CocoFolder):
    folder.write()
    ask(folder, group="film")
    ask(folder, group="width")
    assert [from_index(folder, group=group).images[0].group for group in ("film", "width")] == [None, "64"]


@pytest.mark.parametrize("place", [0, 8, 20, 60, 900, -1])
def test_a_damaged_index_is_passed_over_and_made_anew(folder: CocoFolder, tmp_path: Path, place: int):
    whole = contents(ask(folder.write()))
    [index] = (tmp_path / "cache").rglob("*.index")
    content = bytearray(index.read_bytes())
    content[place] ^= 16
    index.write_bytes(content)
    assert contents(ask(folder)) == whole
    assert contents(from_index(folder)) == whole


@pytest.mark.parametrize("length", [0, 7, 39, 40, 300])
def test_an_index_that_is_cut_off_is_passed_over(folder: CocoFolder, tmp_path: Path, length: int):
    whole = contents(ask(folder.write()))
    [index] = (tmp_path / "cache").rglob("*.index")
    index.write_bytes(index.read_bytes()[:length])
    assert contents(ask(folder)) == whole


def test_without_a_cache_folder_the_file_is_parsed(folder: CocoFolder, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MSNAS_CACHE", str(folder.write().root / "train.json"))
    assert contents(ask(folder)) == contents(read(folder))


def test_a_full_disk_means_parsing_and_leaves_nothing(folder: CocoFolder, monkeypatch: pytest.MonkeyPatch, tmp_path):
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("msnas.files._sync", full)
    assert contents(ask(folder.write())) == contents(read(folder))
    assert [path.suffix for path in (tmp_path / "cache" / "annotations").iterdir()] == [".lock"]


NO_INDEX: dict[str, Callable[[CocoFolder], object]] = {
    "ids beyond machine numbers": edit("annotations", 0, id=2**63),
    "a refused file": edit("annotations", 0, category_id=99),
    "a size that the image file tells": lambda folder: folder.train["images"][0].pop("width"),
}


@pytest.mark.parametrize("name", NO_INDEX)
def test_no_index_is_kept_of(folder: CocoFolder, tmp_path: Path, name: str):
    NO_INDEX[name](folder)
    assert contents(ask(folder.write())) == contents(read(folder))
    assert list((tmp_path / "cache").rglob("*.index")) == []


def test_no_index_is_kept_where_names_are_repaired(folder: CocoFolder, tmp_path: Path):
    read_source(folder.write().settings(repair_names=True))
    assert list((tmp_path / "cache").rglob("*.index")) == []


@pytest.mark.parametrize(("name", "value"), [("SMALLEST", 10**6), ("SETTLED", 60e9)])
def test_small_files_and_new_ones_get_no_index(folder: CocoFolder, monkeypatch, tmp_path: Path, name, value):
    monkeypatch.setattr(annotation_index, name, value)
    ask(folder.write())
    assert not (tmp_path / "cache").exists()


def test_of_several_readers_at_once_one_parses(folder: CocoFolder):
    parsed = []

    def counted() -> AnnotationFile:
        parsed.append(1)
        return read(folder)

    folder.write()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: contents(ask(folder, counted)), range(4)))
    assert (len(parsed), len({*found})) == (1, 1)


def test_mapped_images_can_be_pickled(folder: CocoFolder):
    ask(folder.write())
    images = from_index(folder).images
    assert pickle.loads(pickle.dumps(images)) == images
