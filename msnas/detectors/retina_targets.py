"""What RetinaNet asks each anchor to predict, and its two losses.

Focal loss, arXiv 1708.02002, section 3.2; normalised and weighted as in the NAS-FPN authors' release
(tensorflow/tpu).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import huber_loss
from torchvision.models.detection._utils import BoxCoder, Matcher
from torchvision.ops import box_iou, sigmoid_focal_loss

from msnas.detectors.targets import one_hot_classes

IGNORED = -1


@dataclass(frozen=True)
class Aims:
    """What a batch's anchors should predict."""

    labels: Tensor  # [B, N] int64: 1..K, 0 is background, -1 does not count
    deltas: Tensor  # [B, N, 4] from the anchor to its box, zero without one


@dataclass(frozen=True)
class LossWeights:
    """Focal alpha and gamma; the width of the Huber loss's round part; the weight of the box loss."""

    alpha: float = 0.25
    gamma: float = 1.5
    delta: float = 0.1
    box: float = 50.0


def assign(targets: Sequence[Mapping[str, Tensor]], anchors: Tensor, matcher: Matcher, coder: BoxCoder) -> Aims:
    """Give every anchor the box it overlaps most; below the threshold it is background.

    targets: `boxes` [n, 4] xyxy pixels and `labels` [n] in 1..K of each image, crowds (`iscrowd`) left out.
    anchors: [N, 4] xyxy pixels, the same for all images.
    """
    found = [_assign_one(target, anchors, matcher, coder) for target in targets]
    return Aims(torch.stack([labels for labels, _ in found]), torch.stack([deltas for _, deltas in found]))


def _assign_one(
    target: Mapping[str, Tensor], anchors: Tensor, matcher: Matcher, coder: BoxCoder
) -> tuple[Tensor, Tensor]:
    single = target["iscrowd"] == 0 if "iscrowd" in target else slice(None)
    boxes, labels = target["boxes"][single], target["labels"][single]
    if len(boxes) == 0:
        return labels.new_zeros(len(anchors)), torch.zeros_like(anchors)
    match = matcher(box_iou(boxes, anchors))  # [N]: index of the box, or negative
    positive = match >= 0
    nearest = match.clamp(min=0)
    between = match == Matcher.BETWEEN_THRESHOLDS
    wanted = torch.where(positive, labels[nearest], torch.where(between, IGNORED, 0))
    deltas = coder.encode_single(boxes[nearest].to(anchors.dtype), anchors)
    return wanted, torch.where(positive[:, None], deltas, 0.0)


def losses(logits: Tensor, deltas: Tensor, aims: Aims, weights: LossWeights) -> dict[str, Tensor]:
    """Focal loss over all anchors, Huber loss over the positives, both over (positives of the batch + 1).

    logits: [B, N, K], deltas: [B, N, 4]. The box loss is the mean over the four deltas.
    """
    positive, counted = aims.labels > 0, aims.labels != IGNORED
    wanted = one_hot_classes(aims.labels, logits)  # [B, N, K]
    focal = sigmoid_focal_loss(logits, wanted, alpha=weights.alpha, gamma=weights.gamma)
    huber = huber_loss(deltas, aims.deltas, reduction="none", delta=weights.delta)  # [B, N, 4]
    huber = torch.where(positive[..., None], huber, 0.0)
    normalizer = positive.sum() + 1
    return {
        "loss_classifier": (focal * counted[..., None]).sum() / normalizer,
        "loss_box_reg": weights.box * huber.sum() / (4 * normalizer),
    }
