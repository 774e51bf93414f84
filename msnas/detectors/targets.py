"""What a detector may be trained on: checked before every step, one synchronisation on a GPU."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from msnas.errors import DataError

Target = dict[str, Any]


def check_targets(targets: Sequence[Target] | None, num_images: int, num_classes: int) -> None:
    """Raise DataError unless every image has proper boxes [n, 4] (xyxy), labels [n] in 1..num_classes."""
    if targets is None or len(targets) != num_images:
        raise DataError(
            f"Training needs one target an image, but got {num_images} images and "
            f"{'no' if targets is None else len(targets)} targets."
        )
    boxes = torch.cat([target["boxes"].reshape(-1, 4) for target in targets])
    labels = torch.cat([target["labels"] for target in targets])
    proper = (boxes[:, 2:] > boxes[:, :2]).all(dim=1) & boxes.isfinite().all(dim=1)
    known = (labels >= 1) & (labels <= num_classes)
    if len(boxes) != len(labels) or not bool((proper & known).all()):
        raise DataError(_fault(targets, num_classes))


def one_hot_classes(labels: Tensor, like: Tensor) -> Tensor:
    """`labels` [...] in 1..K, others being background, as zeros and ones [..., K] of the type of `like` [..., K].

    Without torch's one-hot, whose int64 of all anchors takes four times the memory.
    """
    classes = torch.arange(1, like.shape[-1] + 1, device=labels.device)
    return (labels[..., None] == classes).to(like.dtype)


def _fault(targets: Sequence[Target], num_classes: int) -> str:
    """The first fault of `targets`, in words."""
    for index, target in enumerate(targets):
        where = f"Target {index} (image {target.get('image_id', 'without id')})"
        boxes, labels = target["boxes"].tolist(), target["labels"].tolist()
        if len(boxes) != len(labels):
            return f"{where} must have a label a box, but has {len(boxes)} boxes and {len(labels)} labels."
        for box, label in zip(boxes, labels, strict=True):
            if not (box[0] < box[2] and box[1] < box[3]) or not all(map(math.isfinite, box)):
                return f"{where} must have boxes x1 < x2, y1 < y2 of finite numbers, but has {box}."
            if not 1 <= label <= num_classes:
                return f"{where} must have labels in 1..{num_classes}, but has {label}."
    raise AssertionError("called without a fault")
