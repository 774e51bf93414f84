import contextlib
import io
from typing import Any

import numpy as np
import pytest

from evolution.ranking import tau_interval
from msnas.data.image_scores import ImageScores, ap_on_draws, image_draws
from msnas.report.ap_interval import ap_intervals
from msnas.report.spread import deviation, standard_error


@pytest.fixture(scope="module")
def scene() -> tuple[Any, list[dict[str, Any]]]:
    """(pycocotools COCO, results) of 30 images with crowds, wrong classes, doubles and equal scores."""
    from pycocotools.coco import COCO

    rng = np.random.default_rng(3)
    annotations, results = [], []
    for image in range(1, 31):
        for _ in range(int(rng.integers(0, 5))):
            box = [float(v) for v in (*rng.integers(0, 60, 2), *rng.integers(8, 60, 2))]
            category = int(rng.integers(1, 4))
            crowd = int(rng.random() < 0.1)
            annotations.append(
                {"id": len(annotations) + 1, "image_id": image, "category_id": category, "bbox": box,
                 "area": box[2] * box[3], "iscrowd": crowd}
            )  # fmt: skip
            for _ in range(int(rng.integers(0, 3))):
                near = [max(1.0, v + float(rng.normal(0, 3))) for v in box]
                guess = category if rng.random() < 0.8 else 1 + category % 3
                score = round(float(rng.random()), 1)
                results.append({"image_id": image, "category_id": guess, "bbox": near, "score": score})
    coco = COCO()
    coco.dataset = {
        "images": [{"id": i, "width": 120, "height": 120} for i in range(1, 31)],
        "annotations": annotations,
        "categories": [{"id": i, "name": str(i)} for i in range(1, 4)],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco, results


def cocoeval_ap(truth: Any, results: list[dict[str, Any]]) -> float:
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0])


def test_every_image_once_gives_pycocotools_ap(scene: tuple[Any, list[dict[str, Any]]]) -> None:
    truth, results = scene
    assert ImageScores(truth, results).ap() == pytest.approx(cocoeval_ap(truth, results), abs=1e-12)


def test_images_left_out_count_as_if_they_were_not_there(scene: tuple[Any, list[dict[str, Any]]]) -> None:
    from pycocotools.coco import COCO

    truth, results = scene
    kept = set(range(1, 16))
    half = COCO()
    half.dataset = {
        "images": [image for image in truth.dataset["images"] if image["id"] in kept],
        "annotations": [item for item in truth.dataset["annotations"] if item["image_id"] in kept],
        "categories": truth.dataset["categories"],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        half.createIndex()
    expected = cocoeval_ap(half, [row for row in results if row["image_id"] in kept])
    weights = np.array([float(image in kept) for image in range(1, 31)])
    assert ImageScores(truth, results).ap(weights) == pytest.approx(expected, abs=1e-12)


def test_every_network_is_scored_on_the_same_draws(scene: tuple[Any, list[dict[str, Any]]]) -> None:
    truth, results = scene
    expected = [ImageScores(truth, results).ap(draw) for draw in image_draws(30, 5)]
    assert ap_on_draws(truth, results, 5) == tuple(expected)


def test_a_network_that_detects_nothing_has_no_ap_on_any_draw(scene: tuple[Any, list[dict[str, Any]]]) -> None:
    assert ap_on_draws(scene[0], [], 5) == (0, 0, 0, 0, 0)


def test_a_network_does_not_differ_from_itself(scene: tuple[Any, list[dict[str, Any]]]) -> None:
    truth, results = scene
    difference = ap_intervals(truth, {"a": {0: results}, "b": {0: results}}, against="b")["a"]["difference"]
    assert (difference.value, difference.low, difference.high) == (0, 0, 0)


def test_the_interval_holds_the_ap(scene: tuple[Any, list[dict[str, Any]]]) -> None:
    truth, results = scene
    found = ap_intervals(truth, {"a": {0: results}}, against=None)["a"]["ap"]
    assert found.low < found.value < found.high
    assert found.se > 0


def test_a_networks_ap_is_the_mean_over_its_seeds(scene: tuple[Any, list[dict[str, Any]]]) -> None:
    truth, results = scene
    apart = [ap_intervals(truth, {"a": {0: part}}, against=None)["a"]["ap"].value for part in (results, results[::2])]
    both = ap_intervals(truth, {"a": {0: results, 1: results[::2]}}, against=None)["a"]["ap"].value
    assert both == pytest.approx(sum(apart) / 2)


def test_a_network_without_detections_has_no_interval(scene: tuple[Any, list[dict[str, Any]]]) -> None:
    truth, results = scene
    assert ap_intervals(truth, {"a": {0: results}, "blind": {0: []}}, against="blind").keys() == {"a"}


def test_a_winner_with_its_rivals_has_the_parts_of_its_gain(scene: tuple[Any, list[dict[str, Any]]]) -> None:
    truth, results = scene
    networks = {"best": {0: results}, "fpn": {0: results[::2]}, "heads": {0: results[::3]}, "drawn": {0: results[::4]}}
    roles = {"best": "winner", "fpn": "fpn", "heads": "fpn_heads", "drawn": "random"}
    found = ap_intervals(truth, networks, against="fpn", roles=roles)["best"]
    assert found.keys() == {"ap", "difference", "heads", "trunk", "search"}
    parts = sum(found[part].value for part in ("heads", "trunk", "search"))
    assert parts == pytest.approx(found["difference"].value)


def test_tau_of_few_networks_has_no_interval() -> None:
    assert tau_interval([1, 2, 3], [1, 2, 3]) is None


def test_taus_interval_is_wide_where_ranks_disagree() -> None:
    found = tau_interval([1, 2, 3, 4, 5, 6], [2, 1, 6, 3, 5, 4])
    assert found is not None
    assert found[0] < 0 < found[1]


def test_the_standard_error_is_that_of_the_mean() -> None:
    assert deviation([1.0, 2.0, 3.0]) == 1.0
    assert standard_error([1.0, 2.0, 3.0]) == pytest.approx(3**-0.5)
