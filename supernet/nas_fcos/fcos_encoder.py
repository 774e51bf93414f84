"""Backbone and pyramid of an FCOS-like detector: five features P3..P7 of one width."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from supernet.errors import SpaceError
from supernet.nas_fcos.caffe_backbone import CaffeBackbone
from supernet.nas_fcos.decoder import LEVELS, ORIGINAL, Decoder, Pyramid
from supernet.nas_fcos.head_module import HeadModule
from supernet.nas_fcos.pyramid_module import FpnNeck, PyramidModule

BACKBONE_LEVELS = (2, 3, 4, 5)
UPSAMPLINGS = ("bilinear", "nearest")


class FcosEncoder(nn.Module):
    """A timm backbone under a searched pyramid, or under FCOS's own ("fcos").

    pyramid: as a value, as text, or None for FCOS's own. channels: of the pyramid's inside; out_channels: of P3..P7
    (wider: "@128-256"). caffe, frozen, width, weights, called: of the backbone, see `CaffeBackbone`. upsampling: inside
    a searched pyramid, see `PyramidModule`. deformable: convolutions at each level of FCOS's own, see `FpnNeck`.
    """

    num_groups = len(LEVELS)
    levels = LEVELS
    divisor = 32  # P6 and P7 are strided convolutions, which round up

    def __init__(
        self,
        pyramid: Pyramid | str | None = None,
        *,
        backbone: str = "resnet50",
        channels: int = 256,
        out_channels: int | None = None,
        caffe: bool = True,
        frozen: bool = False,
        width: float = 1.0,
        weights: str | None = None,
        upsampling: str = "bilinear",
        deformable: int = 0,
        called: str = "network.weights",
    ) -> None:
        super().__init__()
        if isinstance(pyramid, str):
            pyramid = None if pyramid == ORIGINAL else Pyramid.parse(pyramid)
        self.out_channels = out_channels or channels
        if channels < 1 or self.out_channels % channels or (pyramid is None and channels != self.out_channels):
            raise SpaceError(
                f"out_channels must be a multiple of channels, and equal them under FCOS's own pyramid, "
                f"but got {channels=}, {out_channels=}."
            )
        if deformable < 0 or (deformable and pyramid is not None):
            raise SpaceError(
                f"deformable >= 0 is for FCOS's own pyramid, but got {deformable} with {pyramid or ORIGINAL}."
            )
        if upsampling not in UPSAMPLINGS:
            raise SpaceError(f"upsampling must be one of {', '.join(UPSAMPLINGS)}, but got {upsampling!r}.")
        self.config: dict[str, Any] = {
            "pyramid": str(pyramid or ORIGINAL), "backbone": backbone, "channels": channels, "upsampling": upsampling,
            "out_channels": self.out_channels, "caffe": caffe, "frozen": frozen, "width": width,
            "deformable": deformable,
        }  # fmt: skip
        self.backbone = CaffeBackbone(  # C2, too, which costs nothing: another pyramid may read it
            backbone, BACKBONE_LEVELS, caffe=caffe, frozen=frozen, width=width, weights=weights, called=called
        )
        self.image_mean, self.image_std = self.backbone.mean, self.backbone.std
        read = pyramid and pyramid.without_unread_c2()
        kind: dict[str, Any] = {"upsampling": upsampling, "deformable": deformable}
        self.neck = make_pyramid(read, self.backbone.channels, channels, self.out_channels, **kind)

    def forward(self, images: Tensor) -> list[Tensor]:
        """images: [B, 3, H, W], H and W multiples of `divisor`. Returns P3..P7, each [B, C, ., .]."""
        features: list[Tensor] = self.neck(self.backbone(images))
        return features


class DecoderNet(nn.Module):
    """A pyramid and a head on features that are given, such as cached ones; without a pyramid, on P3..P7.

    num_inputs: it reads so many features, the coarsest of those that are given.
    """

    def __init__(self, pyramid: PyramidModule | FpnNeck | None, head: HeadModule) -> None:
        super().__init__()
        self.pyramid, self.head = pyramid, head
        self.num_inputs = len(LEVELS) if pyramid is None else pyramid.num_inputs

    def forward(self, features: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """features: [B, C_l, ., .] each, finest first. Returns what the head predicts."""
        features = features[-self.num_inputs :]
        predictions: tuple[Tensor, Tensor, Tensor] = self.head(
            features if self.pyramid is None else self.pyramid(features)
        )
        return predictions


def make_pyramid(
    pyramid: Pyramid | None,
    in_channels: Sequence[int],
    channels: int,
    out_channels: int,
    *,
    upsampling: str = "bilinear",
    deformable: int = 0,
    unread: bool = False,
) -> PyramidModule | FpnNeck:
    """The module of a pyramid; None: FCOS's own. `in_channels`: of C2..C5, of which it reads the coarsest it needs."""
    widths = in_channels[-len(Decoder(pyramid).levels) :]
    if pyramid is None:
        return FpnNeck(widths, out_channels, deformable=deformable)
    shape: dict[str, Any] = {"channels": channels, "in_channels": widths, "out_channels": out_channels}
    return PyramidModule(pyramid, **shape, upsampling=upsampling, unread=unread)
