"""The networks of NAS-FPN (arXiv 1904.07392): its cells stacked under RetinaNet, and RetinaNet with FPN.

ResNets of the v1.5 form, 91 class outputs (the ids of COCO's categories run to 90), as the published costs
need. The 15 cells of NAS-FPNLite were never published: the space and the Lite modules exist, an entry
cannot. Torch is imported when a cost is asked for, since backbones are counted on the built module.
"""

from dataclasses import dataclass
from typing import Any

from msnas.families.family import Picture
from supernet.cost import Cost
from supernet.nas_fpn.fpn_levels import FpnLevels
from supernet.nas_fpn.plan_cost import check_levels_fit, fpn_level_cost, nas_fpn_cost
from supernet.nas_fpn.pyramid_plan import DISCOVERED, PyramidPlan

CLASSES = 91
BACKBONES = {"mv2": "mobilenetv2_100", "r50": "resnet50", "r101": "resnet101", "r152": "resnet152"}


@dataclass(frozen=True)
class PublishedRetinaNet:
    """A RetinaNet on `stacks` NAS-FPN pyramids of `channels`, or on FPN where `stacks` is 0; whole detector.

    gflops: multiply-accumulates at `input_size` (the paper prints twice as many), million_params: parameters,
    both as published for this row, where they are.
    """

    name: str
    backbone: str
    stacks: int = 0
    channels: int = 256
    map: float | None = None
    gflops: float | None = None
    million_params: float | None = None
    input_size: tuple[int, int] = (640, 640)

    @property
    def architecture(self) -> PyramidPlan | None:
        """The cells; None for a baseline."""
        return DISCOVERED if self.stacks else None

    @property
    def options(self) -> tuple[str, ...]:
        """The backbone in full width, and how many pyramids of how many channels; an FPN as wide beside it."""
        backbone = ("experiment=nas_fpn", f"network.backbone={BACKBONES[self.backbone]}", "network.width=1.0")
        pyramids = (f"network.stacks={self.stacks}", f"network.channels={self.channels}")
        return (*backbone, *pyramids, "baseline.width=1.0", f"baseline.channels={self.channels}")

    def cost_row(self, input_size: tuple[int, int] | None = None) -> dict[str, Any]:
        """Name, architecture and exact costs at `input_size` (height, width), multiples of 128."""
        size = input_size or self.input_size
        check_levels_fit(size, DISCOVERED.levels[-1])
        cost = self._cost(size)
        neck = f"{self.stacks}@{self.channels} {DISCOVERED}" if self.stacks else f"fpn@{self.channels}"
        return {
            "name": self.name,
            "architecture": f"{BACKBONES[self.backbone]} {neck}",
            "macs": cost.macs,
            "params": cost.params,
            "published_map": self.map,
            "published_gflops": self.gflops,
            "published_million_params": self.million_params,
        }

    def picture(self, input_size: tuple[int, int]) -> Picture:
        """The cells, or the FPN that they are compared with; the rest of the network in words below its name."""
        if self.architecture is None:
            fpn = FpnLevels(DISCOVERED.levels)
            return Picture(fpn, self.name, f"{BACKBONES[self.backbone]}, FPN of {self.channels} channels")
        rest = f"{BACKBONES[self.backbone]}, {self.stacks} such pyramids of {self.channels} channels"
        return Picture(self.architecture, self.name, rest)

    def _cost(self, size: tuple[int, int]) -> Cost:
        shape: dict[str, Any] = {"backbone": BACKBONES[self.backbone], "channels": self.channels}
        if self.stacks:
            return nas_fpn_cost(DISCOVERED, stacks=self.stacks, input_size=size, num_classes=CLASSES, **shape)
        return fpn_level_cost(DISCOVERED.levels, input_size=size, num_classes=CLASSES, **shape)


ENTRIES = [
    PublishedRetinaNet("nas_fpn_r50_1at256", "r50", 1),
    PublishedRetinaNet("nas_fpn_r50_3at256", "r50", 3),
    PublishedRetinaNet("nas_fpn_r50_5at256", "r50", 5),
    PublishedRetinaNet("nas_fpn_r50_7at256", "r50", 7, gflops=140.6, million_params=60.3),
    PublishedRetinaNet(
        "nas_fpn_r50_7at384",
        "r50",
        7,
        384,
        map=45.4,
        gflops=1043,
        million_params=104,
        input_size=(1280, 1280),
    ),
    PublishedRetinaNet("nas_fpn_mv2_3at256", "mv2", 3, map=36.6, gflops=80),
    PublishedRetinaNet("retinanet_fpn_r50", "r50", gflops=97, million_params=34),
    PublishedRetinaNet("retinanet_fpn_r101", "r101", gflops=127, million_params=53),
    PublishedRetinaNet("retinanet_fpn_r152", "r152", gflops=630.5, million_params=68.7, input_size=(1280, 1280)),
]
