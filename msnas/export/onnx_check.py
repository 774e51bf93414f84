"""Does an ONNX file find on real images what torch finds? The same objects, to a tenth of a pixel and a thousandth."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from msnas.detectors.fcos import FCOS
from msnas.errors import ModelError

BOX_TOLERANCE, SCORE_TOLERANCE = 0.1, 1e-3  # pixels; of 1
Detections = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]  # boxes [n, 4] xyxy, scores [n], labels [n]


@dataclass(frozen=True)
class Agreement:
    """The largest deviations of boxes (pixels) and scores, on so many images with so many compared detections."""

    images: int
    detections: int
    boxes: float
    scores: float


def in_torch(single: nn.Module, image: Tensor) -> Detections:
    """What the module finds on one image [3, H, W]."""
    with torch.inference_mode():
        boxes, scores, labels = (output.numpy() for output in single(image))
    return boxes, scores, labels


def in_onnxruntime(path: Path, images: Sequence[Tensor]) -> Iterator[Detections]:
    """What the graph finds on each image. Raises ModelError where this onnxruntime lacks an operator of it."""
    import onnxruntime  # an extra

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"onnxruntime {onnxruntime.__version__} cannot run this detector: {reason}") from error
    for image in images:
        boxes, scores, labels = session.run(None, {"image": image.numpy()})
        yield boxes, scores, labels


def compare(detector: Any, expected: Sequence[Detections], answers: Sequence[Detections]) -> Agreement:
    """Torch's answers beside the graph's. Raises ModelError where a detection of one has no like in the other's."""
    boxes, scores, number = [0.0], [0.0], 0
    for ours, theirs in zip(expected, answers, strict=True):
        for one, other in ((ours, theirs), (theirs, ours)):
            sure = one[1] > _sure(one[1], detector.config, centerness=isinstance(detector, FCOS))
            box_gaps, score_gaps = _nearest(one, other)
            boxes += box_gaps[sure].tolist()
            scores += score_gaps[sure].tolist()
            number += int(sure.sum())
    if number == 0:
        raise ModelError(f"No ONNX file is written: no sure object was found on {len(expected)} images to compare.")
    if max(boxes) > BOX_TOLERANCE or max(scores) > SCORE_TOLERANCE:
        raise ModelError(
            f"No ONNX file is written: onnxruntime finds other objects than torch on {len(expected)} images (boxes to "
            f"{max(boxes):.3g} pixels, scores to {max(scores):.3g}; allowed: {BOX_TOLERANCE}, {SCORE_TOLERANCE})."
        )
    return Agreement(len(expected), number // 2, max(boxes), max(scores))


def _sure(scores: NDArray[Any], config: dict[str, Any], *, centerness: bool) -> float:
    """Below this score a detection may be in one list only: its score is at the threshold, or the list was full."""
    full = len(scores) >= config["detections"]
    threshold = config["score_threshold"] ** (0.5 if centerness else 1)  # FCOS: of p, where the score is sqrt(p * c)
    return float(max(scores.min() if full else 0.0, threshold) + SCORE_TOLERANCE)


def _nearest(one: Detections, other: Detections) -> tuple[NDArray[Any], NDArray[Any]]:
    """For each detection of `one` the gaps in box (pixels) and score to the most similar of its class in `other`."""
    if not len(one[1]) or not len(other[1]):
        return np.full(len(one[1]), np.inf), np.full(len(one[1]), np.inf)
    box_gaps = np.abs(one[0][:, None] - other[0][None]).max(2)  # [n, m]
    score_gaps = np.abs(one[1][:, None] - other[1][None])
    worst = np.maximum(box_gaps / BOX_TOLERANCE, score_gaps / SCORE_TOLERANCE)
    worst[one[2][:, None] != other[2][None]] = np.inf
    best = worst.argmin(1)
    rows = np.arange(len(best))
    alike = np.isfinite(worst[rows, best])
    return np.where(alike, box_gaps[rows, best], np.inf), np.where(alike, score_gaps[rows, best], np.inf)
