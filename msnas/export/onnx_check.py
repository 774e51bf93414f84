"""Does an ONNX file find on real images what torch finds? The same objects, to a tolerance by precision."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from msnas.detectors.fcos import FCOS
from msnas.errors import ModelError
from msnas.export.onnx_session import Detections


@dataclass(frozen=True)
class Tolerance:
    """How far boxes (pixels) and scores may be apart; lost: the share of detections that may have no like."""

    boxes: float
    scores: float
    lost: float


# Half precision has 11 bits: two boxes of almost one score can change places, and NMS then keeps the other.
TOLERANCES = {"fp32": Tolerance(0.1, 1e-3, 0.0), "fp16": Tolerance(1.0, 1e-2, 0.05)}


@dataclass(frozen=True)
class Agreement:
    """On so many images so many compared detections, of which `lost` have no like.

    boxes, scores: the largest deviations of the others, in pixels and of 1.
    """

    images: int
    detections: int
    boxes: float
    scores: float
    lost: int = 0


def in_torch(single: nn.Module, image: Tensor) -> Detections:
    """What the module finds on one image [3, H, W]."""
    with torch.inference_mode():
        boxes, scores, labels = (output.numpy() for output in single(image))
    return boxes, scores, labels


def compare(
    detector: Any, expected: Sequence[Detections], answers: Sequence[Detections], tolerance: Tolerance
) -> Agreement:
    """Torch's answers beside the graph's. Raises ModelError where too many detections of one have no like in the other.

    Detections near the threshold, or near the end of a list that was full, are left out.
    """
    gaps = [np.zeros((2, 0))]  # of boxes and of scores
    for ours, theirs in zip(expected, answers, strict=True):
        for one, other in ((ours, theirs), (theirs, ours)):
            sure = one[1] > _sure(one[1], detector.config, tolerance, centerness=isinstance(detector, FCOS))
            gaps.append(_nearest(one, other, tolerance)[:, sure])
    boxes, scores = np.concatenate(gaps, axis=1)
    if boxes.size == 0:
        raise ModelError(f"No ONNX file is written: no sure object was found on {len(expected)} images to compare.")
    alike = (boxes <= tolerance.boxes) & (scores <= tolerance.scores)
    lost = int((~alike).sum())
    if lost > tolerance.lost * len(alike):
        raise ModelError(
            f"No ONNX file is written: onnxruntime finds other objects than torch on {len(expected)} images (boxes to "
            f"{boxes.max():.3g} pixels, scores to {scores.max():.3g}; allowed: {tolerance.boxes}, {tolerance.scores}"
            f" for all but {tolerance.lost:.0%}, but {lost} of {len(alike)} are further apart)."
        )
    box_gap, score_gap = (float(gap[alike].max(initial=0.0)) for gap in (boxes, scores))
    return Agreement(len(expected), len(alike) // 2, box_gap, score_gap, lost)


def _sure(scores: NDArray[Any], config: dict[str, Any], tolerance: Tolerance, *, centerness: bool) -> float:
    """Below this score a detection may be in one list only: its score is at the threshold, or the list was full."""
    full = len(scores) >= config["detections"]
    threshold = config["score_threshold"] ** (0.5 if centerness else 1)  # FCOS: of p, where the score is sqrt(p * c)
    return float(max(scores.min() if full else 0.0, threshold) + tolerance.scores)


def _nearest(one: Detections, other: Detections, tolerance: Tolerance) -> NDArray[Any]:
    """For each detection of `one` the gaps in box (pixels) and score to the most similar of its class in `other`.

    [2, n]; infinite where there is none of its class.
    """
    if not len(one[1]) or not len(other[1]):
        return np.full((2, len(one[1])), np.inf)
    box_gaps = np.abs(one[0][:, None] - other[0][None]).max(2)  # [n, m]
    score_gaps = np.abs(one[1][:, None] - other[1][None])
    worst = np.maximum(box_gaps / tolerance.boxes, score_gaps / tolerance.scores)
    worst[one[2][:, None] != other[2][None]] = np.inf
    best = worst.argmin(1)
    rows = np.arange(len(best))
    alike = np.isfinite(worst[rows, best])
    return np.where(alike, np.stack([box_gaps[rows, best], score_gaps[rows, best]]), np.inf)
