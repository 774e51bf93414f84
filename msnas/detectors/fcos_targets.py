"""What FCOS asks each location to predict, and its three losses.

FCOS, arXiv 1904.01355, section 3.1-3.3, as NAS-FCOS (arXiv 1906.04423) trains it: IoU loss weighted by centerness, no
centre sampling unless asked for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torchvision.ops import generalized_box_iou_loss, sigmoid_focal_loss

from msnas.data.sending import sent
from msnas.detectors.targets import one_hot_classes

RANGES = ((-1, 64), (64, 128), (128, 256), (256, 512), (512, float("inf")))  # pixels, at a short side of 800


@dataclass(frozen=True)
class Locations:
    """Every location of a pyramid, levels in order, row by row."""

    points: Tensor  # [N, 2] x, y of the centres, pixels
    strides: Tensor  # [N] pixels
    ranges: Tensor  # [N, 2] smallest and largest distance that the location is responsible for, pixels
    counts: tuple[int, ...]  # locations of each level

    def to(self, device: torch.device) -> "Locations":
        """The same on `device`."""
        points, strides, ranges = (x.to(device) for x in (self.points, self.strides, self.ranges))
        return Locations(points, strides, ranges, self.counts)


@dataclass(frozen=True)
class Targets:
    """What a batch's locations should predict."""

    labels: Tensor  # [B, N] int64: 1..K, 0 is background
    distances: Tensor  # [B, N, 4] to left, top, right, bottom; pixels; zero at background

    def to(self, device: torch.device) -> "Targets":
        """The same on `device`."""
        return Targets(sent(self.labels, device), sent(self.distances, device))


def locations(
    sizes: Sequence[tuple[int, int]],
    strides: Sequence[int],
    *,
    range_scale: float,
    device: torch.device | None = None,
) -> Locations:
    """The locations of five levels with these (height, width); `range_scale` multiplies the published `RANGES`.

    Made on `device`: from the CPU they would come by copies that wait for all that is under way.
    """
    points, cells, ranges = [], [], []
    for (height, width), stride, (low, high) in zip(sizes, strides, RANGES, strict=True):
        sides = (torch.arange(height, device=device), torch.arange(width, device=device))
        y, x = torch.meshgrid(*sides, indexing="ij")
        points.append(torch.stack((x, y), dim=2).reshape(-1, 2) * stride + stride // 2)
        cells.append(torch.full((height * width,), float(stride), device=device))
        limits = [torch.full((height * width,), limit * range_scale, device=device) for limit in (low, high)]
        ranges.append(torch.stack(limits, dim=1))
    return Locations(
        torch.cat(points).float(),
        torch.cat(cells),
        torch.cat(ranges),
        tuple(height * width for height, width in sizes),
    )


def assign(targets: Sequence[Mapping[str, Tensor]], where: Locations, center_sampling: float = 0.0) -> Targets:
    """Give every location the smallest box that it lies in and whose size is its level's (section 3.2).

    targets: `boxes` [n, 4] xyxy pixels and `labels` [n] in 1..K of each image, crowds (`iscrowd`) left out.
    `center_sampling` > 0 asks a location to lie within that many strides of the box's centre, too.
    """
    found = [_assign_one(target, where, center_sampling) for target in targets]
    return Targets(torch.stack([labels for labels, _ in found]), torch.stack([ltrb for _, ltrb in found]))


def _assign_one(target: Mapping[str, Tensor], where: Locations, center_sampling: float) -> tuple[Tensor, Tensor]:
    single = target["iscrowd"] == 0 if "iscrowd" in target else slice(None)
    boxes, labels = target["boxes"][single].to(where.points.dtype), target["labels"][single]
    points = where.points
    if len(boxes) == 0:
        return labels.new_zeros(len(points)), points.new_zeros(len(points), 4)
    ltrb = torch.cat((points[:, None] - boxes[:, :2], boxes[:, 2:] - points[:, None]), dim=2)  # [N, n, 4]
    inside = ltrb.amin(2) > 0
    if center_sampling > 0:
        centers = (boxes[:, :2] + boxes[:, 2:]) / 2
        off_center = (points[:, None] - centers).abs().amax(2)
        inside &= off_center < center_sampling * where.strides[:, None]
    reach = ltrb.amax(2)
    inside &= (reach > where.ranges[:, :1]) & (reach <= where.ranges[:, 1:])
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    area, chosen = torch.where(inside, areas, torch.inf).min(1)  # ambiguous: the smallest box
    found = area.isfinite()
    picked = ltrb.gather(1, chosen[:, None, None].expand(-1, 1, 4)).squeeze(1)
    return torch.where(found, labels[chosen], 0), torch.where(found[:, None], picked, 0.0)


def centerness_of(distances: Tensor) -> Tensor:
    """Centerness for `distances` [..., 4] (left, top, right, bottom): 1 in the middle, 0 at a border."""
    left, top, right, bottom = distances.unbind(-1)
    ratio = torch.minimum(left, right) / torch.maximum(left, right) * torch.minimum(top, bottom)
    return (ratio / torch.maximum(top, bottom)).sqrt()  # eq. 3


def losses(
    logits: Tensor,
    distances: Tensor,
    centerness: Tensor,
    targets: Targets,
    where: Locations,
    *,
    box_loss: str = "iou",
) -> dict[str, Tensor]:
    """The three losses of predictions [B, N, K], [B, N, 4] (units of stride, positive) and [B, N] logits.

    Classification: focal (0.25, 2) over (positives + images); boxes: -log IoU (`box_loss` "giou": 1 - GIoU), weighted
    by the target's centerness; centerness: binary cross entropy over the positives.
    """
    logits, distances = logits.float(), distances.float()
    positive = targets.labels > 0
    wanted = one_hot_classes(targets.labels, logits)
    count = positive.sum()
    classification = sigmoid_focal_loss(logits, wanted, alpha=0.25, gamma=2.0, reduction="sum")
    aim = torch.where(positive[..., None], targets.distances, 1.0)  # `where`, since a GPU is waited for at an index
    weight = torch.where(positive, centerness_of(aim), 0.0)
    predicted = torch.where(positive[..., None], distances * where.strides[:, None], 1.0)
    regression = (BOX_LOSSES[box_loss](predicted, aim) * weight).sum() / weight.sum().clamp(min=1e-6)
    center = binary_cross_entropy_with_logits(centerness.float(), weight, weight=positive.float(), reduction="sum")
    return {
        "loss_classifier": classification / (count + len(logits)),
        "loss_box_reg": regression,
        "loss_centerness": center / count.clamp(min=1),
    }


def iou_loss(predicted: Tensor, aim: Tensor) -> Tensor:
    """-log IoU of boxes given as distances from one point; both [..., 4], pixels. Returns [...]."""
    overlap = torch.minimum(predicted, aim)
    intersection = _area(overlap)
    union = _area(predicted) + _area(aim) - intersection
    return -torch.log((intersection + 1) / (union + 1))


def giou_loss(predicted: Tensor, aim: Tensor) -> Tensor:
    """1 - generalised IoU (arXiv 1902.09630) of boxes given as distances from one point; both [..., 4]."""
    boxes = [torch.cat((-x[..., :2], x[..., 2:]), dim=-1) for x in (predicted, aim)]  # around the point
    loss: Tensor = generalized_box_iou_loss(*boxes)
    return loss


BOX_LOSSES = {"iou": iou_loss, "giou": giou_loss}


def _area(distances: Tensor) -> Tensor:
    return (distances[..., 0] + distances[..., 2]) * (distances[..., 1] + distances[..., 3])
