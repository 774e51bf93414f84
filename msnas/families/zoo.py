"""Published networks by name: what they are, what they cost at any input size, what the paper reports.

"Multi-scale Network Architecture Search for Object Detection", Tables 1 and 7 to 9. An entry is any object
with the methods of `Published`; a further family adds its own class and its entries to `ZOO`. Needs no torch.
"""

import difflib
from dataclasses import dataclass
from typing import Any, Protocol

from msnas.errors import ConfigError
from msnas.families.nas_fcos import zoo_nas_fcos
from msnas.families.nas_fpn import zoo_nas_fpn
from supernet.cost import Cost, box_head_cost, fpn_cost
from supernet.strides.architecture import Architecture
from supernet.strides.stride_space import StrideSpace

ROIS = 1000  # that the box head's MACs are stated for
SPACES: dict[str, dict[str, Any]] = {  # a published winner has dead blocks
    "r18": {"block": "basic", "depth": 13, "channels": 180, "live": False},
    "r34": {"block": "basic", "depth": 21, "channels": 160, "live": False},
    "r50": {"block": "bottleneck", "depth": 21, "channels": 144, "live": False},
}


class Published(Protocol):
    """A published network."""

    @property
    def name(self) -> str:
        """Its name in the zoo."""

    @property
    def map(self) -> float | None:
        """The published COCO mAP, percent; None where none was published."""

    @property
    def input_size(self) -> tuple[int, int]:
        """(height, width) in pixels that its published cost is stated for."""

    @property
    def architecture(self) -> Any:
        """What a search found, a value whose `str` is its text; None for a baseline."""

    def cost_row(self, input_size: tuple[int, int] | None = None) -> dict[str, Any]:
        """Name, architecture and exact costs at `input_size`, by default the published one."""


@dataclass(frozen=True)
class TwoStage:
    """What the MSNAS paper's entries share: 800x1333 images padded to 832x1280, a box head of 2conv1fc."""

    name: str
    map: float
    input_size: tuple[int, int] = (832, 1280)

    @property
    def architecture(self) -> Architecture | None:
        """What a search found; None for a baseline."""
        return None

    def _row(self, architecture: str, first_stage: Cost, channels: int) -> dict[str, Any]:
        """channels: of the features that RoIs are cut from."""
        return {
            "name": self.name,
            "architecture": architecture,
            "macs": first_stage.macs,
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

    def cost_row(self, input_size: tuple[int, int] | None = None) -> dict[str, Any]:
        """Exact costs; see `Published`."""
        space = StrideSpace(**SPACES[self.space], input_size=input_size or self.input_size)
        cost = space.cost(space.encode(self.architecture))
        return self._row(str(self.architecture), cost, space.channels)


@dataclass(frozen=True)
class PublishedFpn(TwoStage):
    """A baseline: a ResNet with an FPN of 256 channels."""

    backbone: str = ""

    def cost_row(self, input_size: tuple[int, int] | None = None) -> dict[str, Any]:
        """Exact costs; see `Published`."""
        cost = fpn_cost(self.backbone, input_size=input_size or self.input_size)
        return self._row(f"{self.backbone}-fpn", cost, 256)


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

_ENTRIES: list[Published] = [
    *(
        PublishedPath(name=f"msnas_{space}_{rank}", map=score, text=text, space=space)
        for space, winners in _WINNERS.items()
        for rank, (text, score) in enumerate(winners, 1)
    ),
    PublishedFpn(name="fpn_r18", map=34.6, backbone="resnet18"),
    PublishedFpn(name="fpn_r34", map=37.7, backbone="resnet34"),
    PublishedFpn(name="fpn_r50", map=38.3, backbone="resnet50"),
    *zoo_nas_fcos.ENTRIES,
    *zoo_nas_fpn.ENTRIES,
]
ZOO: dict[str, Published] = {entry.name: entry for entry in _ENTRIES}


def published(name: str) -> Published:
    """The entry of this name. Raises ConfigError with the nearest names where there is none."""
    if name in ZOO:
        return ZOO[name]
    close = difflib.get_close_matches(name, ZOO, n=3)
    hint = f"Did you mean {' or '.join(close)}?" if close else f"There are: {', '.join(ZOO)}."
    raise ConfigError(f"zoo has no network {name!r}. {hint}")


def architecture_text(word: str) -> str:
    """The text of an architecture: `word` itself, or what the published network of that name is made of.

    Raises ConfigError for a name that is not known, and for a baseline.
    """
    if not word.isidentifier():
        return word
    architecture = published(word).architecture
    if architecture is None:
        raise ConfigError(f"zoo={word} is a baseline, where nothing was searched; name one of msnas_* or nas_*.")
    return str(architecture)
