"""The baseline's encoder: a timm ResNet under a feature pyramid network (arXiv 1612.03144).

Convolutions of the pyramid have a bias and no norm; P6 is P5 subsampled. `width` scales the backbone's stages, `stem`
is the channels of its stem, `channels` those of the pyramid, so that the baseline can be given the cost of what it is
compared with; `supernet.strides.first_stage_cost.fpn_cost` is that cost in closed form.
"""

from collections import OrderedDict
from typing import Any

from timm.models.resnet import downsample_conv
from torch import Tensor, nn
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelMaxPool

from supernet.backbone import Backbone
from supernet.errors import SpaceError
from supernet.strides.first_stage_cost import RESNETS, STEM_CHANNELS
from supernet.strides.residuals import init_residuals


class FpnEncoder(nn.Module):
    """P2..P6 of a ResNet: five features of `channels` channels at strides base_stride * (1, 2, 4, 8, 16).

    backbone: resnet18, resnet34 or resnet50 (v1.5). base_stride 2 leaves out the stem's max-pool. residual_init:
    what the last norm of every block starts at. weights: of the backbone, see `Backbone`, whose stem has 64
    channels; None trains from scratch.
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
        stem: int = STEM_CHANNELS,
        residual_init: float = 0.0,
        weights: str | None = None,
    ) -> None:
        super().__init__()
        if backbone not in RESNETS or base_stride not in (2, 4) or min(channels, stem) < 1:
            raise SpaceError(
                f"The baseline has a backbone of {', '.join(RESNETS)}, base_stride 2 or 4, channels and stem >= 1, "
                f"but got {backbone=}, {base_stride=}, {channels=}, {stem=}."
            )
        if weights is not None and stem != STEM_CHANNELS:
            raise SpaceError(f"Pretrained weights have a stem of {STEM_CHANNELS} channels, but got {stem=}.")
        self.config: dict[str, Any] = {  # what the constructor needs to build this encoder again, as JSON
            "backbone": backbone,
            "channels": channels,
            "width": width,
            "base_stride": base_stride,
            "stem": stem,
            "residual_init": residual_init,
        }
        self.out_channels, self.divisor = channels, 16 * base_stride
        self.backbone = Backbone(backbone, (2, 3, 4, 5), width=width, weights=weights, called="baseline.weights")
        self.image_mean, self.image_std = self.backbone.mean, self.backbone.std
        if stem != STEM_CHANNELS:
            _widen_stem(self.backbone.body, stem)
        if weights is None:
            init_residuals(self.backbone, residual_init)
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


def _widen_stem(body: Any, channels: int) -> None:
    """Give a timm ResNet a stem of `channels`, and a first block that reads it; timm knows 64 only."""
    body.conv1 = nn.Conv2d(3, channels, 7, stride=2, padding=3, bias=False)
    body.bn1 = nn.BatchNorm2d(channels)
    block, inner = type(body.layer1[0]), body.layer1[0].conv1.out_channels
    outputs = block.expansion * inner
    downsample = None if channels == outputs else downsample_conv(channels, outputs, kernel_size=1)
    body.layer1[0] = block(channels, inner, downsample=downsample)
    for module in (body.conv1, *body.layer1[0].modules()):
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")  # as timm does
