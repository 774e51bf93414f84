"""What reads a pooled region: the box head of MSNAS 4.1, the mask branch of Mask R-CNN (arXiv 1703.06870)."""

from torch import Tensor, nn
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead, FastRCNNPredictor
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor

BOX_HEADS = {"2conv1fc": 2, "4conv1fc": 4}  # number of 3x3 convolutions
BOX_SIZE = 7  # a region is pooled to 7x7 for its box,
MASK_SIZE = 14  # to 14x14 for its mask, which comes out at 28x28


def make_box_head(kind: str, in_channels: int, *, channels: int, fc_channels: int) -> nn.Module:
    """[R, in_channels, 7, 7] to [R, fc_channels]: 3x3 convolutions with BN and ReLU, then one full layer."""
    head: nn.Module = FastRCNNConvFCHead(
        (in_channels, BOX_SIZE, BOX_SIZE),
        [channels] * BOX_HEADS[kind],
        [fc_channels],
        norm_layer=nn.BatchNorm2d,
    )
    return head


class BoxPredictor(FastRCNNPredictor):  # type: ignore[misc]  # torchvision carries no types
    """Class scores (0 is the background) and a box for each class, in float32 whatever the autocast."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[R, fc_channels] to scores [R, K + 1] and deltas [R, 4 * (K + 1)]."""
        scores, deltas = super().forward(x)
        return scores.float(), deltas.float()


class MaskPredictor(MaskRCNNPredictor):  # type: ignore[misc]  # torchvision carries no types
    """A mask for each class, in float32 whatever the autocast."""

    def forward(self, x: Tensor) -> Tensor:
        """[R, C, 14, 14] to logits [R, K + 1, 28, 28]."""
        logits: Tensor = super().forward(x)
        return logits.float()


def make_mask_parts(in_channels: int, *, channels: int, num_outputs: int) -> tuple[nn.Module, nn.Module]:
    """Head (four 3x3 convolutions) and predictor of the mask branch."""
    return MaskRCNNHeads(in_channels, [channels] * 4, 1), MaskPredictor(channels, channels, num_outputs)
