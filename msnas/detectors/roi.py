"""Features of regions of interest, each from the group of its size.

torchvision's MultiScaleRoIAlign takes a feature's level from its stride and so cannot serve two groups that
read one feature; besides, it keeps the strides of its first call for ever.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.ops import box_area, roi_align

from msnas.data.geometry import padded_size
from msnas.detectors.box_coding import WaitlessBoxCoder
from msnas.detectors.matching import WaitlessMatcher

BELOW = 2**-1e-6  # of a border: torchvision's room for rounding in its LevelMapper
BOX_WEIGHTS = (10.0, 10.0, 5.0, 5.0)  # of the deltas: torchvision's default


class GroupRoIAlign(nn.Module):
    """One `roi_align` a group; a region goes to the group of its size, that is the square root of its area.

    borders: pixels, one fewer than groups; a region at a border belongs to the larger group (MSNAS Fig. 2b).
    """

    def __init__(self, borders: Sequence[float], *, output_size: int, divisor: int) -> None:
        super().__init__()
        self.borders = tuple(borders)
        self.num_groups = len(borders) + 1
        self.output_size = output_size
        self.divisor = divisor

    def groups_of(self, boxes: list[Tensor]) -> Tensor:
        """The group of each of the R regions of all images, [R] int64."""
        sides = box_area(torch.cat(boxes)).sqrt()
        return torch.stack([sides >= border * BELOW for border in self.borders]).sum(dim=0)

    def _members(self, groups: Tensor) -> Sequence[Tensor]:
        """The regions of each group, in their order; their numbers are the one thing that a GPU is waited for."""
        if torch.compiler.is_exporting():
            return [torch.where(groups == group)[0] for group in range(self.num_groups)]
        numbers = torch.arange(self.num_groups, device=groups.device)[:, None]
        return torch.split(groups.argsort(stable=True), (groups == numbers).sum(dim=1).tolist())

    def forward(self, features: dict[str, Tensor], boxes: list[Tensor], image_sizes: list[tuple[int, int]]) -> Tensor:
        """[R, C, output_size, output_size] of the R regions of all images, in their order.

        features: [B, C, h, w] a group (those past the last group are left alone); boxes: [n, 4] an image,
        xyxy, pixels; image_sizes: (height, width) before padding to multiples of `divisor`.
        """
        maps = list(features.values())[: self.num_groups]
        padded_height, _ = padded_size(max(height for height, _ in image_sizes), 1, self.divisor)
        groups = self.groups_of(boxes)  # [R]
        images = torch.cat([torch.full_like(b[:, :1], i) for i, b in enumerate(boxes)])
        rois = torch.cat([images, torch.cat(boxes)], dim=1)  # [R, 5]
        size = (self.output_size, self.output_size)
        pooled = maps[0].new_zeros((rois.shape[0], maps[0].shape[1], *size))  # len() would fix it in an exported graph
        for feature, chosen in zip(maps, self._members(groups), strict=True):
            scale = feature.shape[-2] / padded_height
            pooled[chosen] = roi_align(feature, rois[chosen], size, scale, sampling_ratio=2).to(pooled.dtype)
        return pooled


def make_roi_heads(
    pool: nn.Module,
    head: nn.Module,
    predictor: nn.Module,
    *,
    batch: int,
    score_threshold: float,
    nms_threshold: float,
    detections: int,
    mask_parts: tuple[nn.Module, nn.Module, nn.Module] | None,
) -> nn.Module:
    """torchvision's second stage; `batch` regions are sampled an image, a quarter of them objects.

    mask_parts: pooling, head and predictor of the mask branch, or None.
    """
    mask_pool, mask_head, mask_predictor = mask_parts or (None, None, None)
    heads: nn.Module = RoIHeads(
        pool,
        head,
        predictor,
        fg_iou_thresh=0.5,
        bg_iou_thresh=0.5,
        batch_size_per_image=batch,
        positive_fraction=0.25,
        bbox_reg_weights=BOX_WEIGHTS,
        score_thresh=score_threshold,
        nms_thresh=nms_threshold,
        detections_per_img=detections,
        mask_roi_pool=mask_pool,
        mask_head=mask_head,
        mask_predictor=mask_predictor,
    )
    heads.proposal_matcher = WaitlessMatcher(0.5, 0.5, allow_low_quality_matches=False)
    heads.box_coder = WaitlessBoxCoder(BOX_WEIGHTS)
    return heads
