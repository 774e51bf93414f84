"""`msnas eval` takes the split that is asked for, and the one that is there."""

import json
from pathlib import Path

import pytest
from coco_folders import CocoFolder
from tiny_detectors import make_detector

from msnas.cli import main
from msnas.export.model_file import save


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("model")
    detector = make_detector(num_classes=2, short_side=48, long_side=64)
    save(place, detector, {"classes": ["crab", "fish"], "category_ids": [3, 7]})
    return place


def _words(model: Path, folder: CocoFolder, *more: str) -> list[str]:
    return ["eval", str(model), "data=coco", f"data.root={folder.root}", "hardware.train_threads=1", *more]


@pytest.mark.parametrize(("split", "images"), [("train", 6), ("val", 4), ("test", 3)])
def test_the_split_that_is_named_is_taken(model, folder: CocoFolder, split, images, capsys):
    test = folder.val | {"images": folder.val["images"][:3], "annotations": folder.val["annotations"][:6]}
    (folder.write().root / "test.json").write_text(json.dumps(test))
    assert main(_words(model, folder, f"split={split}", "--json")) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["split"], answer["images"]) == (split, images)


def test_a_test_file_that_is_alone_is_taken_by_itself(model, folder: CocoFolder, capsys):
    (folder.root / "test.json").write_text(json.dumps(folder.val))
    assert main(_words(model, folder, "--json")) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["split"] == "test"
    assert answer["detections"].endswith("-test.json")


def test_a_split_that_is_none_is_refused(model, folder: CocoFolder, capsys):
    assert main(_words(model, folder.write(), "split=tset")) == 2
    assert "split must be train, val or test, but got 'tset'" in capsys.readouterr().err


def test_a_size_that_no_object_has_is_said_so(model, folder: CocoFolder, capsys):
    assert main(_words(model, folder.write())) == 0
    assert "  ap_large       -  (no such object)\n" in capsys.readouterr().out
