"""The baseline behind a pretrained backbone: a feature pyramid network (arXiv 1612.03144) on any timm network.

Beside the FPN of `FpnEncoder` it can leave out stride 4, have the heads of a searched network, and norms. What lies
behind the backbone runs on cached features as well, as in `PrefixPathEncoder`.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork

from supernet.errors import SpaceError
from supernet.strides.architecture import NUM_GROUPS
from supernet.strides.backbone_fpn_cost import BASE_STRIDE, TOP, group_strides, output_strides, shares_head
from supernet.strides.prefix_backbone import PrefixBackbone
from supernet.strides.prefix_start import prefix_strides


class BackboneFpnEncoder(nn.Module):
    """Five features of `channels` channels from an FPN on the stages of `backbone` at strides `finest`..32.

    heads: the stride that each group reads, 64 being 32 subsampled; None: 4, 8, 16, 32, 64 under one RPN head as in an
    FPN, or with finest=8, 8, 8, 16, 32, 64. Levels that no group reads have no output convolution. norm: batch norms in
    the pyramid, in place of biases. train_prefix and weights: of the backbone, as in `PrefixPathEncoder`.
    """

    num_groups = NUM_GROUPS
    divisor = 16 * BASE_STRIDE

    def __init__(
        self,
        backbone: str,
        *,
        channels: int = 256,
        finest: int = 4,
        heads: Sequence[int] | None = None,
        norm: bool = False,
        train_prefix: str = "frozen",
        weights: Any = None,
    ) -> None:
        super().__init__()
        self.feature_strides = prefix_strides(TOP, finest)
        self.heads = group_strides(heads, finest)
        if channels < 1:
            raise SpaceError(f"channels >= 1 must hold for an FPN, but got {channels=}.")
        self.config: dict[str, Any] = {  # what the constructor needs to build this encoder again, as JSON
            "backbone": backbone,
            "channels": channels,
            "finest": finest,
            "heads": None if heads is None else list(heads),
            "norm": norm,
            "train_prefix": train_prefix,
        }
        self.out_channels = channels
        self.shared_heads = shares_head(heads, finest)
        self.roi_levels = (2, 5) if self.shared_heads else (1, NUM_GROUPS)  # an FPN's regions come from P2..P5 only
        self.backbone = PrefixBackbone(backbone, self.feature_strides, train=train_prefix, weights=weights)
        self.image_mean, self.image_std = self.backbone.mean, self.backbone.std
        widths = list(self.backbone.channels.values())
        self.pyramid = FeaturePyramidNetwork(widths, channels, norm_layer=nn.BatchNorm2d if norm else None)
        for index, stride in enumerate(self.feature_strides):
            if stride not in output_strides(self.heads):
                self.pyramid.layer_blocks[index] = nn.Identity()

    def forward(self, images: Tensor) -> list[Tensor]:
        """[B, 3, H, W] to one feature [B, C, H / s, W / s] a group. Raises SpaceError for other sizes."""
        return self.from_features(self.prefix(images))

    def prefix(self, images: Tensor) -> dict[int, Tensor]:
        """The backbone's features of normalised images [B, 3, H, W], by stride."""
        features: dict[int, Tensor] = self.backbone(images)
        return features

    def from_features(self, features: Mapping[int, Tensor]) -> list[Tensor]:
        """The same as `forward`, from what `prefix` gave."""
        coarsest = features[TOP]
        height, width = (side * TOP for side in coarsest.shape[-2:])
        if height % self.divisor or width % self.divisor:
            raise SpaceError(
                f"Height and width must be multiples of {self.divisor}, but got {height}x{width}; pad them."
            )
        levels = self.pyramid(OrderedDict((str(stride), features[stride]) for stride in self.feature_strides))
        levels[str(2 * TOP)] = levels[str(TOP)][:, :, ::2, ::2]
        return [levels[str(stride)] for stride in self.heads]
