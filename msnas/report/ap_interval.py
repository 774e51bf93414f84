"""How sure an AP is: detections matched once by pycocotools, then scored on draws of the held-out images."""

import contextlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools.cocoeval import COCOeval

from msnas.report.gain import gain_parts
from msnas.report.paired_draws import Array, Interval, PairedDraws

Results = list[dict[str, Any]]
MOST, FEWEST, WORK = 500, 100, 2e7  # draws: fewer where there are many detections (draws x detections)
MAX_DETECTIONS = 100


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

    def __init__(self, truth: Any, results: Results) -> None:
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
    truth: Any,
    results: Mapping[str, Mapping[int, Results]],
    *,
    against: str | None,
    roles: Mapping[str, str | None] | None = None,
) -> dict[str, dict[str, Interval]]:
    """For every network with detections: `ap` and, beside the network `against`, `difference` to it (paired).

    results: by network and seed, COCO results; a network's AP is the mean over its seeds. Networks with a seed that
    detected nothing are left out. roles: of the networks, as `gain_parts` takes them; the winner then has `heads`,
    `trunk` and `search` as well.
    """
    found = {name: seeds for name, seeds in results.items() if all(seeds.values())}
    if not found:
        return {}
    draws = _paired_draws(truth, found)
    intervals = {name: {"ap": draws.interval([name])} for name in found}
    if against in found:
        for name in found.keys() - {against}:
            intervals[name]["difference"] = draws.interval([name], [against])
    known = [(name, role) for name, role in (roles or {}).items() if name in found]
    winner = next((name for name, role in known if role == "winner"), None)
    if winner is not None:
        parts = gain_parts(known).items()
        intervals[winner] |= {part: draws.interval(plus, minus) for part, (plus, minus) in parts}
    return intervals


def sized_intervals(
    truth: Any, results: Mapping[str, Mapping[int, Results]], pairs: Mapping[str, str]
) -> dict[str, dict[str, Interval]]:
    """As `ap_intervals`, but `difference` is to the network that `pairs` names for each."""
    found = {name: seeds for name, seeds in results.items() if all(seeds.values())}
    if not found:
        return {}
    draws = _paired_draws(truth, found)
    intervals = {name: {"ap": draws.interval([name])} for name in found}
    for name, other in pairs.items():
        if name in found and other in found:
            intervals[name]["difference"] = draws.interval([name], [other])
    return intervals


def _paired_draws(truth: Any, results: Mapping[str, Mapping[int, Results]]) -> PairedDraws:
    """Every training scored on the same draws of the images."""
    models = {name: {seed: ImageScores(truth, r) for seed, r in seeds.items()} for name, seeds in results.items()}
    every = [model for seeds in models.values() for model in seeds.values()]
    images, most = every[0].images, max(model.detections for model in every)
    rng = np.random.default_rng(0)  # the same run gives the same page
    draws = [np.bincount(rng.integers(0, images, images), minlength=images) for _ in range(_draws(most))]
    weights = [np.ones(images), *draws]
    return PairedDraws(
        {
            name: {seed: np.array([model.ap(weight) for weight in weights]) for seed, model in seeds.items()}
            for name, seeds in models.items()
        }
    )


def _draws(detections: int) -> int:
    return int(min(MOST, max(FEWEST, WORK // max(detections, 1))))
