"""Region proposals: torchvision's network (arXiv 1506.01497) with a head for each group of object sizes.

MSNAS, section 3.2, has one head for each group: heads share no weights, since two groups may read one and the same
feature. The FPN baseline has one head for all its levels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead

from msnas.data.geometry import ASPECT_RATIOS
from msnas.detectors.box_coding import WaitlessBoxCoder
from msnas.detectors.matching import WaitlessMatcher


class Anchors(AnchorGenerator):  # type: ignore[misc]  # torchvision carries no types
    """torchvision's anchors without its rounding to whole pixels, which turns an anchor of 5 pixels into 6.

    The stride of a feature is the padded image's size over the feature's, exact since images are padded to
    multiples of the coarsest stride.
    """

    def generate_anchors(
        self,
        scales: list[float],
        aspect_ratios: list[float],
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """[len(scales) * len(aspect_ratios), 4], xyxy around the origin, pixels; ratio = height / width."""
        sizes = torch.as_tensor(scales, dtype=dtype, device=device)
        roots = torch.as_tensor(aspect_ratios, dtype=dtype, device=device).sqrt()
        widths = (sizes[None, :] / roots[:, None]).flatten()
        heights = (sizes[None, :] * roots[:, None]).flatten()
        return torch.stack([-widths, -heights, widths, heights], dim=1) / 2


class GroupHeads(nn.Module):
    """3x3 convolution, ReLU, 1x1 to a score and to four deltas an anchor; one head a group, or one for all.

    Initialised by torchvision: normal of 0.01, so that at the start every score is near 0.5 and every delta
    near 0.
    """

    def __init__(self, channels: int, num_groups: int, *, shared: bool) -> None:
        super().__init__()
        self.num_groups = num_groups
        self.heads = nn.ModuleList(RPNHead(channels, len(ASPECT_RATIOS)) for _ in range(1 if shared else num_groups))

    def forward(self, features: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Scores [B, 3, h, w] and deltas [B, 12, h, w] of each group's feature [B, C, h, w].

        Always float32: torchvision casts anchors to the type of the deltas, and bf16 holds no pixel above
        256.
        """
        heads = list(self.heads) * (self.num_groups // len(self.heads))
        outputs = [head([feature]) for head, feature in zip(heads, features, strict=True)]
        return [scores.float() for (scores,), _ in outputs], [deltas.float() for _, (deltas,) in outputs]


def make_rpn(
    channels: int,
    num_groups: int,
    *,
    shared: bool,
    anchor_sizes: Sequence[float],
    batch: int,
    pre_nms: tuple[int, int],
    post_nms: tuple[int, int],
) -> nn.Module:
    """torchvision's region proposal network over our heads; `pre_nms` and `post_nms` are (training, testing).

    anchor_sizes: one a group, pixels. `batch` anchors are sampled an image, over all groups together.
    """
    anchors = Anchors(tuple((size,) for size in anchor_sizes), (ASPECT_RATIOS,) * num_groups)
    network: nn.Module = RegionProposalNetwork(
        anchors,
        GroupHeads(channels, num_groups, shared=shared),
        fg_iou_thresh=0.7,
        bg_iou_thresh=0.3,
        batch_size_per_image=batch,
        positive_fraction=0.5,
        pre_nms_top_n={"training": pre_nms[0], "testing": pre_nms[1]},
        post_nms_top_n={"training": post_nms[0], "testing": post_nms[1]},
        nms_thresh=0.7,
    )
    network.proposal_matcher = WaitlessMatcher(0.7, 0.3, allow_low_quality_matches=True)
    network.box_coder = WaitlessBoxCoder((1.0, 1.0, 1.0, 1.0))
    return network
