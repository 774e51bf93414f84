"""The twelve COCO numbers of a set of detections, by hotcoco: pycocotools' to the last bit, in a hundredth of the time.

Both keep image and object ids in machine numbers, and pycocotools takes an object with id 0 for unmatched;
so the evaluation runs on ids of its own (1, 2, 3, ...), and ids of any size and sign work.
"""

import contextlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Literal

import hotcoco
import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

Kind = Literal["bbox", "segm"]
Backend = Literal["hotcoco", "pycocotools"]
NAMES = (
    "ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large",
    "ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large",
)  # fmt: skip


@dataclass(frozen=True)
class CocoScores:
    """The twelve numbers (keys: NAMES) and the AP of each class by category id, at full precision.

    -1 where the ground truth holds nothing of the kind, as pycocotools has it.
    """

    numbers: dict[str, float]
    per_class: dict[int, float]

    def __getitem__(self, name: str) -> float:
        """One of the twelve by name."""
        return self.numbers[name]


def evaluate(
    ground_truth: Any,
    detections: Sequence[dict[str, Any]],
    *,
    kind: Kind = "bbox",
    class_agnostic: bool = False,
    thresholds: Sequence[float] | None = None,
    backend: Backend = "hotcoco",
) -> CocoScores:
    """Score COCO results against a pycocotools COCO object (see DetectionDataset.ground_truth).

    detections: image_id, category_id, score, bbox (xywh) or segmentation (RLE); ids as in the ground
    truth; may be empty. class_agnostic: a box of the wrong class counts as right. thresholds: IoUs that
    `ap` and the recalls are averaged over instead of 0.50, 0.55, ..., 0.95 (`ap50` and `ap75` are -1 where
    they are not among them).
    """
    images, classes = _places(ground_truth.imgs), _places(ground_truth.cats)
    truth = _dense(ground_truth.dataset["annotations"], images, classes)
    found = _dense(detections, images, classes)
    tools = _toolkit(backend)
    with contextlib.redirect_stdout(io.StringIO()):
        dataset = {
            "info": {},
            "images": [
                {"id": images[id_], "width": image["width"], "height": image["height"]}
                for id_, image in ground_truth.imgs.items()
            ],
            "categories": [{"id": number, "name": str(number)} for number in classes.values()],
        }
        left = _coco(tools, {**dataset, "annotations": truth})
        right = left.loadRes(found) if found else _coco(tools, {**dataset, "annotations": []})
        run = tools.COCOeval(left, right, kind)
        if thresholds is not None:
            run.params.iouThrs = np.asarray(thresholds, np.float64)
        run.params.useCats = 0 if class_agnostic else 1
        run.evaluate()
        run.accumulate()
    precision, recall = (np.asarray(run.eval[key]) for key in ("precision", "recall"))
    ious = np.asarray(run.params.iouThrs)
    per_class = {} if class_agnostic else {
        id_: _mean(precision[:, :, place - 1, 0, 2]) for id_, place in classes.items()
    }  # fmt: skip
    return CocoScores(_numbers(precision, recall, ious), per_class)


def _numbers(precision: NDArray[Any], recall: NDArray[Any], ious: NDArray[Any]) -> dict[str, float]:
    """precision [T, R, K, A, M], recall [T, K, A, M]: thresholds, recalls, classes, areas, 1/10/100 detections."""

    def at(iou: float) -> float:
        chosen = np.isclose(ious, iou)
        return _mean(precision[chosen, :, :, 0, 2]) if chosen.any() else -1.0

    values = [_mean(precision[..., 0, 2]), at(0.5), at(0.75)]
    values += [_mean(precision[..., size, 2]) for size in (1, 2, 3)]
    values += [_mean(recall[..., 0, number]) for number in (0, 1, 2)]
    values += [_mean(recall[..., size, 2]) for size in (1, 2, 3)]
    return dict(zip(NAMES, values, strict=True))


def _mean(values: NDArray[Any]) -> float:
    """The mean of what is defined; -1 where nothing is."""
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else -1.0


def _places(ids: Iterable[int]) -> dict[int, int]:
    return {id_: place for place, id_ in enumerate(sorted(ids), start=1)}


def _dense(records: Sequence[dict[str, Any]], images: dict[int, int], classes: dict[int, int]) -> list[dict[str, Any]]:
    """Copies of the records with small ids; the evaluators write into what they are given."""
    return [
        {
            **record,
            "id": number,
            "image_id": images[record["image_id"]],
            "category_id": classes[record["category_id"]],
        }
        for number, record in enumerate(records, start=1)
    ]


def _toolkit(backend: Backend) -> Any:
    """A value with COCO and COCOeval."""
    return hotcoco if backend == "hotcoco" else SimpleNamespace(COCO=COCO, COCOeval=COCOeval)


def _coco(tools: Any, dataset: dict[str, Any]) -> Any:
    coco = tools.COCO()
    coco.dataset = dataset
    coco.createIndex()
    return coco
