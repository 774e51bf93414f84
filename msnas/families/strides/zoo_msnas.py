"""The networks of "Multi-scale Network Architecture Search for Object Detection", Tables 1 and 7 to 9.

What they are, what they cost at any input size, what the paper reports. Needs no torch.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from msnas.families.family import Picture
from msnas.families.strides.stride_networks import Fpn
from supernet.cost import Cost
from supernet.strides.architecture import Architecture
from supernet.strides.first_stage_cost import box_head_cost, fpn_cost
from supernet.strides.stride_space import StrideSpace

ROIS = 1000  # that the box head's MACs are stated for
SPACES: dict[str, dict[str, Any]] = {  # a published winner has dead blocks
    "r18": {"block": "basic", "depth": 13, "channels": 180, "live": False},
    "r34": {"block": "basic", "depth": 21, "channels": 160, "live": False},
    "r50": {"block": "bottleneck", "depth": 21, "channels": 144, "live": False},
}


@dataclass(frozen=True)
class TwoStage(ABC):
    """What the MSNAS paper's entries share: 800x1333 images padded to 832x1280, a box head of 2conv1fc."""

    name: str
    map: float
    input_size: tuple[int, int] = (832, 1280)

    @property
    def architecture(self) -> Architecture | None:
        """What a search found; None for a baseline."""
        return None

    @property
    def options(self) -> tuple[str, ...]:
        """What a baseline is made of is not trained by its name."""
        return ()

    @abstractmethod
    def cost_row(self, input_size: tuple[int, int] | None = None) -> dict[str, Any]:
        """Exact costs; see `Published`."""

    @abstractmethod
    def picture(self, input_size: tuple[int, int]) -> Picture:
        """What is drawn of it."""

    def _row(self, architecture: str, first_stage: Cost, channels: int, **beside_macs: int) -> dict[str, Any]:
        """channels: of the features that RoIs are cut from."""
        return {
            "name": self.name,
            "architecture": architecture,
            "macs": first_stage.macs,
            **beside_macs,
            "params": first_stage.params,
            "box_head_macs": box_head_cost("2conv1fc", in_channels=channels, rois=ROIS).macs,
            "published_map": self.map,
        }


@dataclass(frozen=True)
class PublishedPath(TwoStage):
    """A winner of an MSNAS search: `text` is its architecture, `space` the key of `SPACES` it came from."""

    text: str = ""
    space: str = ""

    @property
    def architecture(self) -> Architecture:
        """The architecture as a value."""
        return Architecture.parse(self.text)

    @property
    def options(self) -> tuple[str, ...]:
        """Its space, at the width of the paper whatever the scale, dead blocks included."""
        shape = SPACES[self.space]
        return (f"space=msnas_{self.space}", f"space.channels={shape['channels']}", "space.live=false")

    def cost_row(self, input_size: tuple[int, int] | None = None) -> dict[str, Any]:
        """Exact costs, those of dead blocks (`dead_macs`) beside them; see `Published`."""
        space = StrideSpace(**SPACES[self.space], input_size=input_size or self.input_size)
        cost = space.cost(space.encode(self.architecture))
        dead = space.dead_cost(self.architecture)
        return self._row(str(self.architecture), cost, space.channels, dead_macs=dead.macs)

    def picture(self, input_size: tuple[int, int]) -> Picture:
        """The row of blocks in its own space."""
        space = StrideSpace(**SPACES[self.space], input_size=input_size)
        return Picture(self.architecture, self.name, space=space)


@dataclass(frozen=True)
class PublishedFpn(TwoStage):
    """A baseline: a ResNet with an FPN of 256 channels."""

    backbone: str = ""

    def cost_row(self, input_size: tuple[int, int] | None = None) -> dict[str, Any]:
        """Exact costs; see `Published`."""
        cost = fpn_cost(self.backbone, input_size=input_size or self.input_size)
        return self._row(f"{self.backbone}-fpn", cost, 256)

    def picture(self, input_size: tuple[int, int]) -> Picture:
        """The pyramid beside the backbone's stages; any space's strides will do."""
        space = StrideSpace(**SPACES["r18"], input_size=input_size)
        return Picture(Fpn(self.backbone), self.name, space=space)


_WINNERS = {
    "r18": [
        ("1,2,2,1,2,1,0.5,1,1,0.5,1,1,0.5|8,8,16,16,32", 36.7),
        ("1,2,2,2,0.5,2,0.5,1,0.5,1,0.5,2,2|8,8,16,16,32", 36.8),
        ("1,2,2,2,1,1,0.5,1,0.5,0.5,2,1,2|8,8,16,16,16", 37.0),
        ("1,2,2,2,0.5,2,0.5,1,1,0.5,1,0.5,2|8,8,16,16,32", 37.0),
        ("1,2,0.5,2,1,2,1,2,1,0.5,1,0.5,2|8,8,16,16,32", 37.2),
    ],
    "r34": [
        ("1,2,1,2,1,1,2,1,0.5,0.5,1,1,2,1,0.5,1,0.5,2,2,2,1|4,8,16,32,32", 39.0),
        ("1,2,1,2,1,2,1,1,0.5,0.5,1,1,2,1,0.5,1,0.5,2,2,2,2|4,8,16,32,64", 38.7),
        ("1,2,1,2,1,2,1,1,0.5,0.5,1,1,2,1,0.5,1,0.5,2,2,2,2|4,8,16,16,64", 38.4),
        ("1,2,1,2,1,1,2,1,2,1,0.5,0.5,1,1,2,0.5,0.5,0.5,1,2,2|4,8,16,32,32", 39.2),
        ("1,2,1,2,1,2,1,1,0.5,0.5,1,1,2,1,0.5,1,0.5,2,2,2,0.5|4,8,16,32,32", 39.0),
    ],
    "r50": [
        ("1,2,1,2,1,1,2,1,1,1,1,2,0.5,0.5,1,0.5,0.5,2,2,1,2|8,8,16,32,32", 39.4),
        ("1,2,1,2,1,1,2,1,1,1,1,2,0.5,0.5,1,0.5,0.5,2,1,2,2|8,16,32,32,32", 39.1),
        ("1,2,1,2,1,1,2,1,1,1,1,2,0.5,0.5,1,0.5,0.5,2,1,2,2|8,8,32,32,64", 39.5),
        ("1,2,1,2,1,1,2,1,1,1,1,2,0.5,0.5,1,0.5,0.5,2,2,1,2|8,8,16,32,64", 39.4),
        ("1,2,1,2,1,1,1,2,1,1,0.5,0.5,1,0.5,2,2,2,2,0.5,1,1|8,8,32,32,32", 39.1),
    ],
}

ENTRIES: list[TwoStage] = [
    *(
        PublishedPath(name=f"msnas_{space}_{rank}", map=score, text=text, space=space)
        for space, winners in _WINNERS.items()
        for rank, (text, score) in enumerate(winners, 1)
    ),
    PublishedFpn(name="fpn_r18", map=34.6, backbone="resnet18"),
    PublishedFpn(name="fpn_r34", map=37.7, backbone="resnet34"),
    PublishedFpn(name="fpn_r50", map=38.3, backbone="resnet50"),
]
