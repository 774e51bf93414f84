"""The drawn data set: a COCO folder like any other, the same from the same seed, complete or not there."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO

from msnas.data.check.data_report import check_data
from msnas.data.opening import open_data
from msnas.data.settings import DataSettings, ShapesSettings
from msnas.data.shapes import shapes_folder as shapes
from msnas.data.shapes.scenes import CLASSES, draw_scene
from msnas.errors import ConfigError

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def _settings(root: Path, **changes: Any) -> DataSettings:
    drawing = ShapesSettings(**{"size": 64, "train": 30, "val": 10, **changes})
    return DataSettings(
        name="shapes", root=str(root), shapes=drawing, short_side=64, long_side=64, workers=0, masks=True
    )


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> DataSettings:
    return _settings(tmp_path_factory.mktemp("shapes"))


def test_drawn_data_is_faultless(drawn: DataSettings):
    report = check_data(drawn)
    assert report.faults == ()
    assert report.duplicates == ()
    assert [item.name for item in report.classes] == list(CLASSES)
    assert all(item.train > 0 for item in report.classes)


def test_objects_range_over_one_to_ten_in_size(drawn: DataSettings):
    boxes = [item.bbox for image in open_data(drawn).train.images for item in image.annotations]
    sides = np.sqrt([width * height for _, _, width, height in boxes])
    assert sides.max() > 10 * sides.min()


def test_objects_are_drawn_in_the_sizes_asked_for(tmp_path: Path):
    small, large = (_longest_sides(tmp_path, objects) for objects in ((6, 20), (40, 120)))
    assert max(small) < 1.5 * 20  # turned and stretched
    assert np.median(large) > 40


@pytest.mark.parametrize("objects", [6, [6], [20, 6], [2, 20], [6, 300]])
def test_sizes_of_objects_that_cannot_be_drawn_are_refused(objects: Any):
    with pytest.raises(ConfigError, match=r"data\.objects"):
        ShapesSettings(objects=objects)


def _longest_sides(root: Path, objects: tuple[int, int]) -> list[float]:
    images = open_data(_settings(root, size=128, train=10, objects=objects)).train.images
    return [max(item.bbox[2:]) for image in images for item in image.annotations]


def test_masks_boxes_and_areas_agree(drawn: DataSettings):
    truth = COCO(str(shapes.shapes_folder(drawn) / "train.json"))
    kinds = set()
    for item in truth.anns.values():
        mask = truth.annToMask(item).astype(int)
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        x, y, width, height = item["bbox"]
        found = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
        assert abs(found - [x, y, x + width, y + height]).max() <= 1
        assert abs(mask.sum() - item["area"]) <= 4 + 1.5 * item["area"] ** 0.5  # a rim of pixels half covered
        kinds.add(type(item["segmentation"]))
    assert kinds == {list, dict}  # polygons and run lengths


def test_some_objects_are_hidden_in_part():
    rng = np.random.default_rng(0)
    hidden = [s.outline is None for _ in range(20) for s in draw_scene(64, rng)[1] if CLASSES[s.label] != "ring"]
    assert 0.1 < np.mean(hidden) < 0.9


def test_the_same_seed_draws_the_same_pictures(drawn: DataSettings, tmp_path: Path):
    again = shapes.shapes_folder(_settings(tmp_path))
    other = shapes.shapes_folder(_settings(tmp_path, seed=1))
    first = shapes.shapes_folder(drawn)
    for name in ("train.json", "val.json", "images/train-00007.png", "images/val-00003.png"):
        assert (first / name).read_bytes() == (again / name).read_bytes()
    assert (first / "images/train-00007.png").read_bytes() != (other / "images/train-00007.png").read_bytes()


def test_a_drawing_that_exists_is_not_drawn_again(drawn: DataSettings, monkeypatch: pytest.MonkeyPatch):
    folder = shapes.shapes_folder(drawn)
    monkeypatch.setattr(shapes, "draw_scene", None)
    assert shapes.shapes_folder(drawn) == folder


def test_a_drawing_that_was_killed_leaves_no_folder_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    count = iter(range(100))

    def dies(size: int, rng: np.random.Generator, objects: None):
        if next(count) == 20:
            raise KeyboardInterrupt
        return draw_scene(size, rng)

    monkeypatch.setattr(shapes, "draw_scene", dies)
    with pytest.raises(KeyboardInterrupt):
        shapes.shapes_folder(_settings(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_cleared_away(tmp_path: Path):
    dead = os.fork()
    if dead == 0:
        os._exit(0)
    os.waitpid(dead, 0)
    folder = shapes.shapes_folder(_settings(tmp_path))
    again = _settings(tmp_path)
    folder.rename(folder.with_name(f".{folder.name}.{dead}.partial"))
    assert [path.name for path in [shapes.shapes_folder(again)]] == [folder.name]
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_the_cache_is_kept_out_of_version_control(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MSNAS_CACHE", str(tmp_path / "cache"))
    settings = DataSettings(name="shapes", shapes=ShapesSettings(size=32, train=2, val=2))
    folder = shapes.shapes_folder(settings)
    assert folder.parent == tmp_path / "cache"
    assert (tmp_path / "cache" / ".gitignore").read_text() == "*\n"
    assert len(json.loads((folder / "train.json").read_text())["images"]) == 2
