"""The networks of NAS-FCOS's Table 2 (arXiv 1906.04423): its decoder, FCOS and RetinaNet, on four backbones.

ResNets are of the caffe form, ResNeXt-101 64x4d and MobileNetV2 as timm has them; 80 classes. Torch is imported when a
cost is asked for, since backbones are counted on the built module.
"""

from dataclasses import dataclass
from typing import Any

from msnas.families.family import Picture, nothing_searched
from supernet.cost import Cost, conv_cost, total
from supernet.errors import SpaceError
from supernet.nas_fcos.decoder import LEVELS, PUBLISHED, Decoder
from supernet.nas_fcos.decoder_cost import head_cost, pyramid_cost

CLASSES = 80
BACKBONES = {"mv2": "mobilenetv2_100", "r50": "resnet50", "r101": "resnet101", "x101": "resnext101_64x4d"}
WIDTHS = {"128": (128, 128), "256": (256, 256), "128_256": (128, 256)}  # of the pyramid and of the head
DIVISOR = 32
RETINA_ANCHORS = 9
RETINA_DEPTH = 4  # 3x3 convolutions with bias and without norm, in either branch


@dataclass(frozen=True)
class PublishedDecoder:
    """A one-stage detector: a decoder on a backbone; costs are the whole detector's.

    flops, million_params: the paper's own column (G of multiply-accumulates, M of trainable parameters), where it has
    this row. anchors: the head is RetinaNet's. deformable: convolutions at each level of FCOS's own pyramid.
    """

    name: str
    backbone: str
    decoder: Decoder
    channels: tuple[int, int] = (256, 256)
    anchors: bool = False
    deformable: int = 0
    map: float | None = None
    flops: float | None = None
    million_params: float | None = None
    input_size: tuple[int, int] = (1088, 800)

    @property
    def architecture(self) -> Decoder | None:
        """The decoder; None for a baseline."""
        return None if self.decoder == Decoder() else self.decoder

    @property
    def options(self) -> tuple[str, ...]:
        """The backbone in full width, and the channels of pyramid and head."""
        inner, outer = self.channels
        backbone = ("experiment=nas_fcos", f"space.backbone={BACKBONES[self.backbone]}", "space.width=1.0")
        return (*backbone, f"network.channels={inner}", f"network.out_channels={outer}")

    def cost_row(self, input_size: tuple[int, int] | None = None) -> dict[str, Any]:
        """Name, architecture and exact costs at `input_size` (height, width), multiples of 32.

        `params` are all parameters, `trainable_params` those left when norms of the backbone (and a ResNet's stem and
        first stage) are frozen, which the paper counts.
        """
        from supernet.nas_fcos.caffe_backbone import caffe_backbone_cost  # torch

        size = input_size or self.input_size
        _check(size)
        body = caffe_backbone_cost(BACKBONES[self.backbone], self.decoder.levels, size)
        inner, outer = self.channels
        options: dict[str, Any] = {
            "deformable": self.deformable,
            "unread": True,
        }  # C2's adapter is in the paper's counts
        pyramid = pyramid_cost(self.decoder.pyramid, body.channels, inner, outer, size, **options)
        head = _retina_head(outer, size) if self.anchors else head_cost(self.decoder.head, outer, CLASSES, size)
        cost = total([body.cost, pyramid, head])
        kind = "retinanet-fpn" if self.anchors else "deform-fpn/fcos" if self.deformable else str(self.decoder)
        return {
            "name": self.name,
            "architecture": f"{BACKBONES[self.backbone]} {kind}",
            "macs": cost.macs,
            "params": cost.params,
            "trainable_params": cost.params - body.cost.params + body.trainable_params,
            "published_map": self.map,
            "published_gflops": self.flops,
            "published_million_params": self.million_params,
        }

    def picture(self, input_size: tuple[int, int]) -> Picture:
        """What was searched, the rest of the network in words below its name. Raises ConfigError for a baseline."""
        if self.architecture is None:
            raise nothing_searched(self.name)
        rest = f"{BACKBONES[self.backbone]}, pyramid of {self.channels[0]}, head of {self.channels[1]} channels"
        return Picture(self.architecture, self.name, rest)


def _check(size: tuple[int, int]) -> None:
    if any(side < 1 or side % DIVISOR for side in size):
        padded = "x".join(str(max(1, -(-side // DIVISOR)) * DIVISOR) for side in size)
        raise SpaceError(
            f"Height and width of the input must be multiples of {DIVISOR}, but got {size[0]}x{size[1]}; "
            f"it is padded to {padded}, count at that size."
        )


def _retina_head(channels: int, size: tuple[int, int]) -> Cost:
    """RetinaNet's head (arXiv 1708.02002, section 4) over P3..P7, shared by the levels."""
    pixels = sum(-(-size[0] // 2**level) * -(-size[1] // 2**level) for level in LEVELS)
    tower = conv_cost(channels, channels, 3, pixels, bias=True)
    predictions = conv_cost(channels, RETINA_ANCHORS * (CLASSES + 4), 3, pixels, bias=True)
    return total([tower] * (2 * RETINA_DEPTH) + [predictions])


_TABLE_2 = {  # name: mAP on test-dev, FLOPs (G), params (M)
    "retinanet_fpn_caffe_mv2": (30.8, 133.4, 11.3),
    "fcos_fpn_mv2": (31.2, 105.4, 9.8),
    "nas_fcos_mv2_128": (32.0, 39.3, 5.9),
    "nas_fcos_mv2_128_256": (33.8, 95.6, 9.9),
    "nas_fcos_mv2_256": (34.7, 121.8, 16.1),
    "retinanet_fpn_caffe_r50": (36.1, 198.0, 33.6),
    "fcos_fpn_r50": (37.4, 169.9, 32.0),
    "nas_fcos_r50_128": (37.9, 104.0, 27.8),
    "nas_fcos_r50_128_256": (39.1, 160.4, 31.8),
    "nas_fcos_r50_256": (39.8, 189.6, 38.4),
    "retinanet_fpn_caffe_r101": (37.8, 262.4, 52.5),
    "fcos_fpn_r101": (41.5, 234.3, 50.9),
    "nas_fcos_r101_256": (43.0, 254.0, 57.3),
    "fcos_fpn_x101": (43.2, 371.2, 89.6),
    "nas_fcos_x101_128_256": (44.5, 361.6, 89.4),
}


def _entry(name: str, backbone: str, decoder: Decoder, **options: Any) -> PublishedDecoder:
    score, flops, params = _TABLE_2.get(name, (None, None, None))
    return PublishedDecoder(name, backbone, decoder, map=score, flops=flops, million_params=params, **options)


ENTRIES = [
    *(
        _entry(f"nas_fcos_{backbone}_{width}", backbone, PUBLISHED, channels=channels)
        for backbone in BACKBONES
        for width, channels in WIDTHS.items()
    ),
    *(_entry(f"fcos_fpn_{backbone}", backbone, Decoder()) for backbone in BACKBONES),
    *(_entry(f"retinanet_fpn_caffe_{backbone}", backbone, Decoder(), anchors=True) for backbone in BACKBONES),
    PublishedDecoder("deform_fpn_fcos_r50", "r50", Decoder(), deformable=2, map=38.4),  # section 4.3.3; no cost printed
]
