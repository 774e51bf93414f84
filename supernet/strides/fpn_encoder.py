"""The baseline's encoder: a timm ResNet under a feature pyramid network (arXiv 1612.03144).

Convolutions of the pyramid have a bias and no norm; P6 is P5 subsampled. `width` scales the backbone's stages
(its stem keeps 64 channels), `channels` the pyramid, so that the baseline can be given the cost of what it is
compared with; `supernet.cost.fpn_cost` is that cost in closed form.
"""

from collections import OrderedDict
from typing import Any

from torch import Tensor, nn
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelMaxPool

from supernet.backbone import Backbone
from supernet.cost import RESNETS
from supernet.errors import SpaceError


class FpnEncoder(nn.Module):
    """P2..P6 of a ResNet: five features of `channels` channels at strides base_stride * (1, 2, 4, 8, 16).

    backbone: resnet18, resnet34 or resnet50 (v1.5). base_stride 2 leaves out the stem's max-pool. pretrained:
    weights of the backbone, see `Backbone`; None trains from scratch.
    """

    num_groups = 5
    roi_levels = (2, 5)  # regions are pooled from P2..P5 only
    shared_heads = True  # one RPN head for all levels

    def __init__(
        self,
        backbone: str = "resnet18",
        *,
        channels: int = 256,
        width: float = 1.0,
        base_stride: int = 4,
        pretrained: str | None = None,
    ) -> None:
        super().__init__()
        if backbone not in RESNETS or base_stride not in (2, 4) or channels < 1:
            raise SpaceError(
                f"The baseline has a backbone of {', '.join(RESNETS)}, base_stride 2 or 4 and channels >= 1, "
                f"but got {backbone=}, {base_stride=}, {channels=}."
            )
        self.config: dict[str, Any] = {  # what the constructor needs to build this encoder again, as JSON
            "backbone": backbone,
            "channels": channels,
            "width": width,
            "base_stride": base_stride,
        }
        self.out_channels, self.divisor = channels, 16 * base_stride
        self.backbone = Backbone(backbone, (2, 3, 4, 5), width=width, weights=pretrained)
        self.image_mean, self.image_std = self.backbone.mean, self.backbone.std
        if base_stride == 2:
            self.backbone.body.maxpool = nn.Identity()
        self.pyramid = FeaturePyramidNetwork(self.backbone.channels, channels, LastLevelMaxPool())

    def forward(self, images: Tensor) -> list[Tensor]:
        """[B, 3, H, W] to [B, C, H / s, W / s] for the five strides s. Raises SpaceError for other sizes."""
        height, width = images.shape[-2:]
        if height % self.divisor or width % self.divisor:
            raise SpaceError(
                f"Height and width must be multiples of {self.divisor}, but got {height}x{width}; pad them."
            )
        stages = OrderedDict((f"C{level}", x) for level, x in enumerate(self.backbone(images), start=2))
        return list(self.pyramid(stages).values())
