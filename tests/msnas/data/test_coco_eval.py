"""The twelve numbers: pycocotools' own, hotcoco's bit for bit, for any ids, and without a word printed."""

import contextlib
import io
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coco_folders import CocoFolder, real_data
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from msnas.data.coco_eval import NAMES, evaluate
from msnas.data.opening import open_data
from msnas.data.settings import DataSettings

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def _noisy(truth: Any, seed: int = 0) -> list[dict[str, Any]]:
    """Detections that are partly right, with ties among the scores."""
    rng, found = random.Random(seed), []
    classes = sorted(truth.cats)
    for item in truth.dataset["annotations"]:
        for _ in range(rng.randint(0, 3)):
            x, y, width, height = item["bbox"]
            box = [x + width * rng.gauss(0, 0.1), y + height * rng.gauss(0, 0.1), width * rng.uniform(0.8, 1.2), height]
            label = item["category_id"] if rng.random() < 0.8 else rng.choice(classes)
            score = round(rng.random(), 2)
            found.append({"image_id": item["image_id"], "category_id": label, "bbox": box, "score": score})
    return found


def _reference(path: Path, found: list[dict[str, Any]]) -> list[float]:
    """What pycocotools prints, computed in its own way from its own reading of the file."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(path))
        run = COCOeval(truth, truth.loadRes(found), "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return [float(value) for value in run.stats]


@pytest.mark.parametrize("name", ["aquarium", "bccd", "coco_cc"])
@pytest.mark.parametrize("backend", ["pycocotools", "hotcoco"])
def test_numbers_are_those_of_pycocotools_on_the_file(name: str, backend: Any):
    root = real_data(name)
    settings = DataSettings(root=str(root), short_side=32, long_side=64, memory_limit=0)
    truth = open_data(settings).val.ground_truth()
    found = _noisy(truth)
    scores = evaluate(truth, found, backend=backend)
    assert list(scores.numbers.values()) == _reference(root / "val.json", found)


@pytest.fixture
def truth(folder: CocoFolder) -> Any:
    folder.val["annotations"][2]["iscrowd"] = 1
    return open_data(folder.write().settings()).val.ground_truth()


@pytest.mark.parametrize("options", [{}, {"class_agnostic": True}, {"thresholds": (0.5, 0.55, 0.6)}], ids=str)
@pytest.mark.parametrize("seed", range(5))
def test_hotcoco_equals_pycocotools_bit_for_bit(truth: Any, options: dict[str, Any], seed: int):
    found = _noisy(truth, seed)
    assert evaluate(truth, found, backend="hotcoco", **options) == evaluate(
        truth, found, backend="pycocotools", **options
    )


def test_hotcoco_equals_pycocotools_on_masks():
    settings = DataSettings(root=str(real_data("coco_cc")), short_side=32, long_side=64, memory_limit=0, masks=True)
    truth = open_data(settings).val.ground_truth()
    found = []
    for item in truth.dataset["annotations"]:
        rle = truth.annToRLE(item)
        rle = {"size": rle["size"], "counts": rle["counts"].decode()}
        row = {"image_id": item["image_id"], "category_id": item["category_id"], "segmentation": rle}
        found.append(row | {"score": (item["id"] % 97) / 97})
    first, second = (evaluate(truth, found[::2], kind="segm", backend=b) for b in ("hotcoco", "pycocotools"))
    assert first == second
    assert 0 < first["ap"] < 1


@pytest.mark.parametrize("backend", ["pycocotools", "hotcoco"])
def test_no_detections_score_zero(truth: Any, backend: Any):
    scores = evaluate(truth, [], backend=backend)
    assert scores["ap"] == scores["ap50"] == scores["ar100"] == 0
    assert scores["ap_large"] == -1  # no object of that size
    assert scores.per_class == {3: 0.0, 7: 0.0}


@pytest.mark.parametrize("backend", ["pycocotools", "hotcoco"])
def test_the_truth_itself_scores_one_whatever_the_ids(folder: CocoFolder, backend: Any):
    for record in folder.val["annotations"]:
        record["id"] -= 1  # pycocotools takes id 0 for "unmatched"
        record["image_id"] += 2**70
    for record in folder.val["images"]:
        record["id"] += 2**70
    truth = open_data(folder.write().settings()).val.ground_truth()
    found = [{**item, "score": 1.0} for item in truth.dataset["annotations"]]
    assert evaluate(truth, found, backend=backend)["ap"] == 1.0


def test_a_wrong_class_counts_only_without_classes(truth: Any):
    found = [{**item, "score": 1.0, "category_id": 10 - item["category_id"]} for item in truth.dataset["annotations"]]
    assert evaluate(truth, found)["ap"] == 0
    assert evaluate(truth, found, class_agnostic=True)["ap"] == 1.0


def test_lower_thresholds_give_a_higher_score(truth: Any):
    found = _noisy(truth)
    low = evaluate(truth, found, thresholds=np.arange(0.5, 0.76, 0.05))
    whole = evaluate(truth, found)
    assert low["ap"] > whole["ap"]
    assert (low["ap50"], low["ap75"]) == (whole["ap50"], whole["ap75"])


def test_nothing_is_printed_and_nothing_is_written_into_the_truth(truth: Any, capfd: pytest.CaptureFixture[str]):
    before = json.dumps(truth.dataset, sort_keys=True)
    found = _noisy(truth)
    kept = json.dumps(found)
    for backend in ("hotcoco", "pycocotools"):
        evaluate(truth, found, backend=backend)
    assert capfd.readouterr() == ("", "")
    assert json.dumps(truth.dataset, sort_keys=True) == before
    assert json.dumps(found) == kept


def test_the_twelve_have_their_names(truth: Any):
    assert tuple(evaluate(truth, []).numbers) == NAMES
