"""How an AP depends on its images: detections matched once by pycocotools, then scored on any weighting of them."""

import contextlib
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

Array = NDArray[Any]
MAX_DETECTIONS = 100


def image_draws(images: int, number: int) -> list[Array]:
    """How often each of `images` images counts in each of `number` bootstrap draws; always the same ones."""
    rng = np.random.default_rng(0)
    return [np.bincount(rng.integers(0, images, images), minlength=images) for _ in range(number)]


def ap_on_draws(truth: Any, results: list[dict[str, Any]], number: int) -> tuple[float, ...]:
    """The AP on `number` draws of the images, the same ones for every list of `results`.

    truth: pycocotools' COCO; results: COCO results. Draws that hold no object, whatever was detected, are left out.
    """
    scores = ImageScores(truth, results)
    aps = [scores.ap(draw) for draw in image_draws(scores.images, number)]
    return tuple(ap for ap in aps if not np.isnan(ap))


@dataclass(frozen=True)
class _Category:
    """Matches of one class, detections by falling score.

    matched, ignored: [thresholds, D]. image: [D], an index. objects: [I], how many each image holds.
    """

    matched: Array
    ignored: Array
    image: Array
    objects: Array


class ImageScores:
    """One model's detections matched once; `ap` of any weighting of the images costs milliseconds.

    truth: pycocotools' COCO. results: COCO results.
    """

    def __init__(self, truth: Any, results: list[dict[str, Any]]) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            found = truth.loadRes(results) if results else _nothing(truth)
            evaluation = COCOeval(truth, found, "bbox")
            evaluation.evaluate()
        parameters = evaluation.params
        self.images = len(parameters.imgIds)
        self.detections = len(results)
        self._recalls: Array = parameters.recThrs
        areas = len(parameters.areaRng)
        cells = np.array(evaluation.evalImgs, dtype=object).reshape(-1, areas, self.images)[:, 0]  # all areas
        found = (_category(row, len(parameters.iouThrs)) for row in cells)
        self._categories = [category for category in found if category is not None]

    def ap(self, weights: Array | None = None) -> float:
        """AP over IoU 0.50:0.95 where image i counts `weights[i]` times; nan without objects."""
        counts = np.ones(self.images) if weights is None else weights
        scores = [self._precision(category, counts) for category in self._categories]
        known = [score for score in scores if score is not None]
        return float(np.mean(known)) if known else float("nan")

    def _precision(self, category: _Category, weights: Array) -> float | None:
        """Mean interpolated precision, as COCOeval.accumulate; None where the drawn images hold no object."""
        objects = float(weights @ category.objects)
        if objects == 0:
            return None
        weight = np.where(category.ignored, 0, weights[category.image])
        true = np.cumsum(weight * category.matched, axis=1)
        positives = np.cumsum(weight, axis=1)
        precision = true / np.maximum(positives, np.spacing(1))
        precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        total = 0.0
        for recall, row in zip(true / objects, precision, strict=True):
            index = np.searchsorted(recall, self._recalls, side="left")
            total += float(row[index[index < len(row)]].sum())
        return total / (len(precision) * len(self._recalls))


def _nothing(truth: Any) -> COCO:
    """No detections on the images of `truth`; `loadRes` needs one."""
    found = COCO()
    found.dataset = {**truth.dataset, "annotations": []}
    found.createIndex()
    return found


def _category(cells: Array, thresholds: int) -> _Category | None:
    """The matches of one class over all images; None where no image holds the class or a detection of it."""
    rows = [(image, cell) for image, cell in enumerate(cells) if cell is not None]
    if not rows:
        return None
    scores = np.concatenate([cell["dtScores"][:MAX_DETECTIONS] for _, cell in rows])
    order = np.argsort(-scores, kind="mergesort")
    joined = {
        key: np.concatenate([cell[key][:, :MAX_DETECTIONS] for _, cell in rows], axis=1).reshape(thresholds, -1)
        for key in ("dtMatches", "dtIgnore")
    }
    image = np.concatenate([np.full(len(cell["dtScores"][:MAX_DETECTIONS]), i) for i, cell in rows])
    objects = np.zeros(len(cells))
    for i, cell in rows:
        objects[i] = np.count_nonzero(np.asarray(cell["gtIgnore"]) == 0)
    matched = joined["dtMatches"][:, order] != 0
    ignored = joined["dtIgnore"][:, order].astype(bool)
    return _Category(matched, ignored, image[order].astype(int), objects)
