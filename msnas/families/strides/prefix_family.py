"""MSNAS behind a pretrained prefix: a timm backbone, cut where one of its stages ends, then mixed blocks and heads.

A frozen prefix gives every image the same features, which are computed once; the supernet, its candidates and every
network that is retrained learn on them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from msnas.data.settings import DataSettings
from msnas.errors import ConfigError
from msnas.families.family import Baseline, Picture, Published, Stage
from msnas.families.strides.stride_family import FpnBaseline, StrideFamily, log
from msnas.files import cache_folder, digest
from msnas.runs.folder import BASELINE
from supernet.cost import Cost
from supernet.space import Budget
from supernet.strides.architecture import Architecture
from supernet.strides.first_stage_cost import PathStart
from supernet.strides.prefix_space import PrefixSpace
from supernet.strides.prefix_start import FINEST

if TYPE_CHECKING:
    from torch import nn

    from msnas.data.opening import Splits
    from msnas.engine.devices import Hardware

TRAININGS = ("frozen", "slow", "full")
TRAINED_ON, SCORED_ON = ("train", "supernet_train"), ("search_val", "val", "selection_val")  # splits
COARSEST = 64  # the coarsest stride of a block, and of the FPN's last level


@dataclass(frozen=True, kw_only=True)
class PrefixOptions:
    """Options `backbone.*`; fields are checked (ConfigError). weights: see `supernet.backbone.Backbone`."""

    weights: str | None
    train: str
    views: int = 1

    def __post_init__(self) -> None:
        if self.train not in TRAININGS:
            raise ConfigError(f"backbone.train must be one of {', '.join(TRAININGS)}, but got {self.train!r}.")
        if self.train == "frozen" and self.weights in (None, "none"):
            raise ConfigError(
                "backbone.train=frozen needs backbone.weights, but got none: random features teach nothing; "
                "give weights, or backbone.train=full."
            )
        if self.views < 1 or (self.views > 1 and self.train != "frozen"):
            raise ConfigError(
                "backbone.views counts the views of a training image whose features are computed once, at least 1, and "
                f"1 where backbone.train is not frozen, but got backbone.views={self.views} "
                f"backbone.train={self.train}."
            )


@dataclass(frozen=True, kw_only=True)
class BackboneFpnBaseline(FpnBaseline):
    """Options `baseline.*`. norm: batch norms in the FPN, in place of biases."""

    norm: bool


@dataclass(frozen=True, kw_only=True)
class PrefixFamily(StrideFamily):
    """The baseline is an FPN on the whole of the same backbone, frozen or not alike, at the same cost."""

    fixed_by: ClassVar[Mapping[str, Stage]] = {"backbone": "supernet"}

    space: PrefixSpace
    backbone: PrefixOptions
    baseline: BackboneFpnBaseline

    @staticmethod
    def divisor(space: Mapping[str, Any]) -> int:
        """The coarsest feature stride."""
        return COARSEST

    @staticmethod
    def zoo() -> Sequence[Published]:
        """None was published."""
        return ()

    @classmethod
    def learns_on_features(cls, groups: Mapping[str, Any]) -> bool:
        """Where the prefix is frozen."""
        return bool(groups["backbone"].train == "frozen")

    def cost(self, architecture: Architecture) -> Cost:
        """First-stage cost of a path, its prefix included."""
        space = self._with_free_heads
        return space.cost(space.encode(architecture))

    def dead_cost(self, architecture: Architecture) -> Cost:
        """What of it influences nothing; laterals of the prefix that only dead blocks read among it."""
        return self.space.dead_cost(architecture)

    @property
    def start(self) -> PathStart:
        return self.space.start

    # The baselines

    @cached_property
    def baseline_shape(self) -> tuple[float, int]:
        """(1, channels) of the FPN: as set, or scaled to a budget that is a number of MACs."""
        if not self.baseline.scaled or self.budget_macs is None:
            return 1.0, self.baseline.channels
        return 1.0, self._fpn_channels(self.budget_macs, None)

    @property
    def baseline_cost(self) -> Cost:
        """First-stage cost of the FPN, the whole backbone included."""
        return self._fpn_cost(self.baseline_shape[1], None)

    @property
    def baseline_name(self) -> str:
        return f"{self.space.backbone}-FPN, {self.baseline_shape[1]} channels"

    def baseline_of_size(self, macs: int) -> tuple[str, Cost, Any]:
        channels = self._fpn_channels(macs, None)
        return f"{self.space.backbone}-FPN, {channels} channels", self._fpn_cost(channels, None), (channels, None)

    def _fpn_channels(self, macs: int, heads: Sequence[int] | None) -> int:
        from supernet.strides.backbone_fpn_cost import scale_backbone_fpn  # torch

        return scale_backbone_fpn(self.space.backbone, macs=macs, **self._fpn_shape(heads), **self._size)

    def _fpn_cost(self, channels: int, heads: Sequence[int] | None) -> Cost:
        from supernet.strides.backbone_fpn_cost import backbone_fpn_cost  # torch

        return backbone_fpn_cost(self.space.backbone, channels=channels, **self._fpn_shape(heads), **self._size)

    @property
    def _size(self) -> dict[str, Any]:
        return {"input_size": self.space.input_size}

    def _fpn_shape(self, heads: Sequence[int] | None) -> dict[str, Any]:
        """What an FPN with these heads shares with the space; None: the heads of an FPN."""
        finest = self.space.finest if heads is None else min(heads)
        return {"finest": finest, "heads": heads, "norm": self.baseline.norm}

    def points(self, budget: Budget | None) -> list[Baseline]:
        """The space's FPN nearest to the budget, where its blocks reach down and up again."""
        target = budget or Budget("macs", self.baseline_cost.macs)
        return self._point("FPN point", self._with_free_heads.fpn_like, target)

    def fpn_with_heads_of(self, architecture: Architecture) -> Baseline | None:
        """The FPN on the same backbone with the heads of a searched network, at the plain FPN's cost."""
        heads = architecture.heads
        if min(heads) not in FINEST:
            log.info("No FPN with the winner's heads is trained: its finest map has stride 4 or 8, which none reads.")
            return None
        channels = self._fpn_channels(self.baseline_cost.macs, heads)
        text = f"{self.space.backbone}-FPN, {channels} channels|{','.join(map(str, heads))}"
        cost = self._fpn_cost(channels, heads)
        return Baseline(f"{BASELINE}heads", "FPN, the winner's heads", text, cost, variant=(channels, heads))

    # Networks

    @property
    def _behind(self) -> dict[str, Any]:
        """Options of a path's encoder and of the supernet's."""
        space, backbone = self.space, self.backbone
        shape = {name: getattr(space, name) for name in ("backbone", "cut", "channels", "block", "finest")}
        given = {"train_prefix": backbone.train, "weights": backbone.weights}
        return {**shape, "residual_init": self.encoder.residual_init, **given}

    def pretraining_detector(self, classes: Sequence[str]) -> "nn.Module":
        """The weight-sharing detector; `forward(images, targets, architecture)`."""
        from supernet.strides.prefix_encoder import PrefixMixedEncoder  # torch

        return self._detector(PrefixMixedEncoder(**self._behind, depth=self.space.depth), classes)

    def timed_detector(self, classes: Sequence[str]) -> "nn.Module":
        """The supernet with random weights: none are looked for."""
        untrained = replace(self.backbone, weights=None, train="full")
        return replace(self, backbone=untrained).pretraining_detector(classes)

    def detector_of(self, architecture: Architecture, classes: Sequence[str]) -> "nn.Module":
        """The detector of one path."""
        from supernet.strides.prefix_encoder import PrefixPathEncoder  # torch

        return self._detector(PrefixPathEncoder(architecture, **self._behind), classes)

    def baseline_detector(self, classes: Sequence[str], variant: Any = None) -> "nn.Module":
        """An FPN on the whole backbone. variant: (channels, heads) of another than the plain one."""
        from supernet.strides.backbone_fpn import BackboneFpnEncoder  # torch

        channels, heads = variant or (self.baseline_shape[1], None)
        encoder = BackboneFpnEncoder(
            self.space.backbone,
            channels=channels,
            **self._fpn_shape(heads),
            train_prefix=self.backbone.train,
            weights=self.backbone.weights,
        )
        return self._detector(encoder, classes)

    # Data

    @property
    def cached_views(self) -> int:
        """Those of the options."""
        return self.backbone.views

    def prepared(
        self,
        splits: "Splits",
        data: DataSettings,
        hardware: "Hardware",
        progress: Callable[[int, str], None] | None = None,
        *,
        folder: Path | None = None,
    ) -> "Splits":
        """The splits with features of the frozen backbone in the place of pixels, for every network of the family.

        They lie in the cache folder, mapped into memory, named by weights, images, sizes and views: other stages,
        processes and runs find them there. A prefix that is trained leaves the splits as they are.
        """
        if self.backbone.train != "frozen":
            return splits
        from msnas.data.cached_dataset import CachedDataset  # torch
        from msnas.data.fixed_views import FixedViews
        from msnas.families.strides.prefix_features import cache_images

        views = FixedViews(number=self.backbone.views, jitter=data.jitter, crop=data.crop)
        widest = self.baseline_detector(splits.train.classes)  # reads every stride that any network reads
        cache = cache_images(
            widest,
            [splits.train, splits.val],
            hardware=hardware,
            views=views,
            folder=folder or cache_folder() / "features",
            memory_limit=0,
            fingerprint={"backbone": self.space.backbone, "weights": _identity(self.backbone.weights)},
            progress=progress,
        )
        seen: dict[str, Any] = {name: CachedDataset(getattr(splits, name), cache, views) for name in TRAINED_ON}
        seen |= {
            name: CachedDataset(split, cache) for name in SCORED_ON if (split := getattr(splits, name)) is not None
        }
        return replace(splits, **seen)

    # Drawings

    @staticmethod
    def draw(pictures: Sequence[Picture], path: Path, *, borders: Sequence[float] | None = None) -> None:
        StrideFamily.draw(pictures, path, borders=borders)

    def pictures_beside_baseline(self, architecture: Architecture, title: str) -> list[Picture]:
        """The drawing of an FPN knows ResNets only."""
        return []


def _identity(weights: str | None) -> str:
    """What stands for weights in the name of a cache: their file's content, or the word for them."""
    file = Path(str(weights))
    return digest(file) if file.is_file() else str(weights)
