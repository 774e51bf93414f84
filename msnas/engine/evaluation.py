"""A detector over a data set: detections as COCO results, and the COCO numbers that they come to."""

import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from msnas.data import coco_eval
from msnas.data.sending import ready_to_send
from msnas.engine.ahead import ahead
from msnas.engine.devices import Hardware, to_device
from msnas.engine.distributed import ALONE, Group
from msnas.engine.recipe import BATCH


class EvaluationData(Protocol):
    """What is asked of a data set; `msnas.data` has the real one."""

    @property
    def readers(self) -> int:
        """Threads that may load images beforehand."""

    def __len__(self) -> int:
        """How many images."""

    def size(self, index: int, /) -> tuple[int, int]:
        """(height, width) of an image as it is given to the detector."""

    def load(self, index: int, /) -> tuple[Tensor, dict[str, Any]]:
        """Image [3, h, w] and target."""

    def results(self, index: int, output: dict[str, Tensor], /) -> list[dict[str, Any]]:
        """A detector's output for an image as COCO results."""

    def ground_truth(self) -> Any:
        """A pycocotools COCO object."""


class FirstImages:
    """The first `count` images of a data set, to detect on."""

    def __init__(self, dataset: EvaluationData, count: int) -> None:
        self._dataset, self._count = dataset, min(count, len(dataset))

    def __len__(self) -> int:
        return self._count

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dataset, name)


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """The twelve COCO numbers of boxes (of masks too: `mask_ap`, ...) at full precision, and the detections.

    detections: [] on processes that do not write. per_class: AP of the boxes by category id.
    seconds: for the detections; score_seconds: for the numbers.
    """

    numbers: dict[str, float]
    per_class: dict[int, float]
    detections: list[dict[str, Any]]
    images: int
    seconds: float
    score_seconds: float


def evaluate(
    model: nn.Module,
    dataset: EvaluationData,
    *,
    path: Hashable | None = None,
    hardware: Hardware | None = None,
    batch: int = BATCH,
    group: Group = ALONE,
    progress: Callable[[int, str], None] | None = None,
) -> EvaluationResult:
    """Detect on every image of `dataset` and score it: one process does, and all have its answer.

    path: the architecture, where `model` is a supernet. progress: called with the images done and a text.
    """
    began = time.perf_counter()
    detections = detect(model, dataset, path=path, hardware=hardware, batch=batch, group=group, progress=progress)
    seconds = time.perf_counter() - began
    judged = group.of_first(lambda: replace(evaluate_detections(dataset, detections, seconds), detections=[]))
    return replace(judged, detections=detections)


def evaluate_detections(dataset: EvaluationData, detections: list[dict[str, Any]], seconds: float) -> EvaluationResult:
    """What `detections`, COCO results that took `seconds`, are worth on `dataset`."""
    began = time.perf_counter()
    boxes = coco_eval.evaluate(dataset.ground_truth(), detections)
    numbers = dict(boxes.numbers)
    if any("segmentation" in detection for detection in detections):
        masks = coco_eval.evaluate(dataset.ground_truth(), detections, kind="segm")
        numbers |= {f"mask_{name}": value for name, value in masks.numbers.items()}
    return EvaluationResult(numbers, boxes.per_class, detections, len(dataset), seconds, time.perf_counter() - began)


def detect(
    model: nn.Module,
    dataset: EvaluationData,
    *,
    path: Hashable | None = None,
    hardware: Hardware | None = None,
    batch: int = BATCH,
    group: Group = ALONE,
    progress: Callable[[int, str], None] | None = None,
) -> list[dict[str, Any]]:
    """Every detection on `dataset` as a COCO result, in the order of its images.

    Images of equal size share batches, so that little is padded; which ones do is a function of the data set
    alone. Several processes take batches in turn, and the one that writes gets all detections, the others []. The next
    batches are read while one is detected on.
    """
    hardware = hardware or Hardware()
    order = sorted(range(len(dataset)), key=lambda index: (dataset.size(index), index))
    batches = [order[start : start + batch] for start in range(0, len(order), batch)]
    found: dict[int, list[dict[str, Any]]] = {}
    options = {"paste": False} if getattr(model, "has_masks", False) else {}  # 100 masks of a whole image are 340 MB
    with evaluation_mode(hardware.place(model)), torch.inference_mode():
        own = batches[group.rank :: group.size]
        loaded = ahead(
            lambda indices: [ready_to_send(dataset.load(i)[0]) for i in indices], own, threads=dataset.readers
        )
        for indices, pixels in zip(own, loaded, strict=True):
            images, _ = to_device(pixels, [], hardware.device)
            with hardware.autocast():
                outputs = model(images, None, path, **options)
            found |= {i: dataset.results(i, output) for i, output in zip(indices, outputs, strict=True)}
            if progress is not None and group.writes:
                progress(min(len(found) * group.size, len(dataset)), "images")
    everywhere = {index: results for part in group.gather_on_first(found) for index, results in part.items()}
    return [detection for index in sorted(everywhere) for detection in everywhere[index]]


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """A block with `model` in evaluation mode; afterwards it has the mode of before."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
