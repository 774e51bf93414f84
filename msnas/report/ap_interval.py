"""How sure an AP is: the bootstrap over held-out images, with pycocotools' own matches.

Images are drawn with replacement; both models are scored on the same draws, so that their difference is
paired. What another training seed would change is not in it.
"""

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
LEVEL = 0.95
MOST, FEWEST, WORK = 500, 100, 2e7  # draws: fewer where there are many detections (draws x detections)
MAX_DETECTIONS = 100


@dataclass(frozen=True)
class Interval:
    """A number with its standard error and its percentile interval over draws."""

    value: float
    se: float
    low: float
    high: float


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

    truth: pycocotools' COCO. results: COCO results, at least one.
    """

    def __init__(self, truth: Any, results: list[dict[str, Any]]) -> None:
        from pycocotools.cocoeval import COCOeval

        with contextlib.redirect_stdout(io.StringIO()):
            evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
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


def ap_intervals(
    truth: Any, results: Mapping[str, Sequence[list[dict[str, Any]]]], *, against: str | None
) -> dict[str, dict[str, Interval]]:
    """For every network with detections: `ap` and, beside the network `against`, `difference` to it (paired).

    results: by network, the COCO results of each of its seeds; a network's AP is the mean over them. Networks
    with a seed that detected nothing are left out.
    """
    scored = {name: [ImageScores(truth, found) for found in seeds] for name, seeds in results.items() if all(seeds)}
    if not scored:
        return {}
    models = [model for seeds in scored.values() for model in seeds]
    images, most = models[0].images, max(model.detections for model in models)
    rng = np.random.default_rng(0)  # the same run gives the same page
    draws = [np.bincount(rng.integers(0, images, images), minlength=images) for _ in range(_draws(most))]
    weights = [np.ones(images), *draws]
    aps = {
        name: np.array([np.mean([model.ap(weight) for model in seeds]) for weight in weights])
        for name, seeds in scored.items()
    }
    intervals = {name: {"ap": _interval(values)} for name, values in aps.items()}
    if against in aps:
        for name in aps.keys() - {against}:
            intervals[name]["difference"] = _interval(aps[name] - aps[against])
    return intervals


def _draws(detections: int) -> int:
    return int(min(MOST, max(FEWEST, WORK // max(detections, 1))))


def _interval(values: Array) -> Interval:
    """The first value is the estimate, the others are draws."""
    drawn = values[1:][~np.isnan(values[1:])]
    if len(drawn) < 2:
        return Interval(float(values[0]), float("nan"), float("nan"), float("nan"))
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(values[0]), float(drawn.std(ddof=1)), float(low), float(high))
