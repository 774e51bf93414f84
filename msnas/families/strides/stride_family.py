"""MSNAS: paths of stride-variable blocks under two-stage heads, scored with a supernet's weights."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from msnas.config.blueprint import Blueprint
from msnas.data.check.object_sizes import Boxes, Fit
from msnas.data.geometry import GROUPS
from msnas.engine.recipe import Recipe
from msnas.engine.training_options import CandidateOptions, ScheduleOptions
from msnas.errors import ConfigError
from msnas.families.family import Baseline, Family, Picture, Pretraining, Published, Sides, require_matplotlib
from msnas.families.one_space_family import OneSpaceFamily
from msnas.families.strides import zoo_msnas
from msnas.families.strides.heads_by_recall import RECALL, heads_by_recall
from msnas.families.strides.stride_networks import Fpn, diagram_of
from msnas.runs.folder import BASELINE
from supernet.cost import Cost
from supernet.errors import SpaceError
from supernet.space import Budget, SearchSpace
from supernet.strides.architecture import BLOCK_STRIDES, NUM_LEVELS, Architecture, stride_levels
from supernet.strides.dead_parts import dead_cost
from supernet.strides.first_stage_cost import first_stage_cost, fpn_cost, scale_fpn
from supernet.strides.stride_space import StrideSpace

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn


log = logging.getLogger(__name__)


class PathSpace(SearchSpace, Protocol):
    """A space of MSNAS's paths, by whatever rules: `StrideSpace`, or one that holds some of its architectures."""

    def decode(self, genome: Sequence[int], /) -> Architecture:
        """The path of `genome`."""

    def parse(self, text: str, /) -> Architecture:
        """The path written as `text`."""

    @property
    def block(self) -> str:
        """basic or bottleneck."""

    @property
    def depth(self) -> int:
        """How many blocks."""

    @property
    def channels(self) -> int:
        """Of every block, and of the heads."""

    @property
    def base_stride(self) -> int:
        """The finest feature stride."""

    @property
    def stem(self) -> int:
        """Channels of the stem."""


@dataclass(frozen=True, kw_only=True)
class EncoderOptions:
    """Options `encoder.*`. residual_init: what the last norm of every block starts at, of paths and supernet."""

    residual_init: float = 0.0


@dataclass(frozen=True, kw_only=True)
class FpnBaseline:
    """Options `baseline.*`. scaled: where the budget is a number of MACs, width and channels are scaled to it.

    residual_init: what the last norm of every block starts at, from scratch.
    """

    backbone: str
    width: float
    channels: int
    scaled: bool
    weights: str | None
    residual_init: float = 0.0


@dataclass(frozen=True, kw_only=True)
class StrideFamily(OneSpaceFamily):
    """Every network has the same heads, anchors and recipe; they differ in the encoder only."""

    pretraining: ClassVar[Pretraining] = "supernet"
    has_size_groups: ClassVar[bool] = True
    has_part_latencies: ClassVar[bool] = True

    space: PathSpace
    detector: Blueprint
    sides: Sides
    budget_macs: int | None
    candidate: CandidateOptions
    schedule: ScheduleOptions
    baseline: FpnBaseline
    encoder: EncoderOptions = EncoderOptions()

    @staticmethod
    def divisor(space: Mapping[str, Any]) -> int:
        """The coarsest feature stride of the space."""
        return 16 * int(space["base_stride"])

    @staticmethod
    def zoo() -> Sequence[Published]:
        return zoo_msnas.ENTRIES

    @staticmethod
    def recognised(text: str) -> None:
        """A row of blocks means what the space says."""

    @staticmethod
    def draw(pictures: Sequence[Picture], path: Path, *, borders: Sequence[float] | None = None) -> None:
        require_matplotlib()
        from msnas.drawings.stride_rows import draw_diagrams  # an extra

        draw_diagrams([diagram_of(p.network, p.space, title=p.title, borders=borders) for p in pictures], path)

    @staticmethod
    def options_by_boxes(
        space: Blueprint, known: Mapping[str, Any], boxes: Callable[[], Boxes], fit: Callable[[], Fit]
    ) -> dict[str, Any]:
        """`space.heads=recall`."""
        heads = space.options.get("heads")
        if heads == RECALL:
            return {"heads": heads_by_recall(space, known, boxes(), fit())}
        if heads is not None and (not isinstance(heads, list) or len(heads) != GROUPS):
            raise ConfigError(
                f"space.heads must be {GROUPS} strides such as [8,8,16,16,32], {RECALL} (chosen by the training boxes) "
                f"or null (searched), but got {heads}."
            )
        return {}

    @property
    def _shape(self) -> dict[str, Any]:
        names = ("block", "channels", "base_stride", "stem")
        return {name: getattr(self.space, name) for name in names}

    @property
    def _fpn(self) -> dict[str, Any]:
        """The FPN baseline's shape: width, channels, and what it shares with the space."""
        width, channels = self.baseline_shape
        return {"width": width, "channels": channels, "base_stride": self.space.base_stride, "stem": self.space.stem}

    def parse(self, text: str) -> Architecture:
        return self.space.parse(text)

    def cost(self, architecture: Architecture) -> Cost:
        """First-stage cost of a path."""
        return first_stage_cost(architecture, **self._shape, input_size=self.space.input_size)

    def dead_cost(self, architecture: Architecture) -> Cost:
        """What of it influences nothing: blocks behind the last stage that a head reads, the lateral that it owes."""
        return dead_cost(architecture, **self._shape, input_size=self.space.input_size)

    def row(self, text: str) -> dict[str, Any]:
        """The architecture's cost in the space, and `dead_macs`: how many of its MACs influence nothing."""
        row, dead = super().row(text), self.dead_cost(self.parse(text))
        return {"architecture": row["architecture"], "macs": row["macs"], "dead_macs": dead.macs, **row}

    @cached_property
    def baseline_shape(self) -> tuple[float, int]:
        """(width, channels) of the FPN baseline: as set, or scaled to a budget that is a number of MACs."""
        if not self.baseline.scaled or self.budget_macs is None:
            return self.baseline.width, self.baseline.channels
        size: dict[str, Any] = {
            "base_stride": self.space.base_stride,
            "stem": self.space.stem,
            "input_size": self.space.input_size,
        }
        return scale_fpn(self.baseline.backbone, macs=self.budget_macs, **size)

    @property
    def baseline_cost(self) -> Cost:
        """First-stage cost of the FPN baseline."""
        return fpn_cost(self.baseline.backbone, **self._fpn, input_size=self.space.input_size)

    def counted_in(self, space: SearchSpace) -> Self:
        """The baseline keeps the shape that it has here, also where it was scaled to a budget."""
        width, channels = self.baseline_shape
        kept = replace(self.baseline, width=width, channels=channels, scaled=False)
        return replace(super().counted_in(space), baseline=kept)

    @property
    def baseline_name(self) -> str:
        width, channels = self.baseline_shape
        return f"{self.baseline.backbone}-FPN, width {width:g}, {channels} channels"

    def baseline_of_size(self, macs: int) -> tuple[str, Cost, Any]:
        scaled = replace(self, budget_macs=macs, baseline=replace(self.baseline, scaled=True))
        return scaled.baseline_name, scaled.baseline_cost, scaled.baseline_shape

    def points(self, budget: Budget | None) -> list[Baseline]:
        """The space's SSD and its FPN nearest to the budget; none where the space has other rules, or no such path."""
        if not isinstance(self.space, StrideSpace):
            return []
        target, free = budget or Budget("macs", self.baseline_cost.macs), self._with_free_heads
        return [*self._point("SSD point", free.ssd_like, target), *self._point("FPN point", free.fpn_like, target)]

    @cached_property
    def _with_free_heads(self) -> StrideSpace:
        """The space with heads that are not fixed: a point has its own."""
        assert isinstance(self.space, StrideSpace)
        return type(self.space)(**{**self.space.config, "heads": None, "tied": None})

    def _point(self, name: str, find: Callable[[Budget], Architecture], target: Budget) -> list[Baseline]:
        """The point that `find` gives; none, and why, where the space has too few blocks to go down, or up again."""
        try:
            point = find(target)
        except SpaceError as error:
            log.info("No %s is trained: %s", name, error)
            return []
        cost = self.cost(point)
        if target.metric == "macs" and not target.low <= cost.macs <= target.high:
            log.info("The nearest %s costs %s MACs, outside %s.", name, f"{cost.macs:,}", target)
        return [Baseline(f"{BASELINE}{name.split()[0].lower()}-point", name, str(point), cost, point)]

    def alike(
        self, architecture: Architecture, budget: Budget | None, number: int, rng: "np.random.Generator"
    ) -> list[Architecture]:
        """Raises ConfigError where the budget holds fewer, or the space has rules of its own."""
        if not isinstance(self.space, StrideSpace):
            return super().alike(architecture, budget, number, rng)
        fixed = type(self.space)(**{**self.space.config, "heads": list(architecture.heads)})
        bounded = fixed if budget is None else fixed.within(budget)
        drawn: dict[Architecture, None] = {}
        for _ in range(100 * number):
            drawn[bounded.decode(bounded.sample(rng))] = None
            drawn.pop(architecture, None)
            if len(drawn) == number:
                return list(drawn)
        raise ConfigError(
            f"The budget holds only {len(drawn)} other networks with the winner's heads; lower retrain.random."
        )

    def pretraining_detector(self, classes: Sequence[str]) -> "nn.Module":
        """The weight-sharing detector; `forward(images, targets, architecture)`."""
        from supernet.strides.stride_encoder import MixedEncoder  # torch

        encoder = MixedEncoder(**self._shape, depth=self.space.depth, residual_init=self.encoder.residual_init)
        return self._detector(encoder, classes)

    def detector_of(self, architecture: Architecture, classes: Sequence[str]) -> "nn.Module":
        """The detector of one path."""
        from supernet.strides.stride_encoder import PathEncoder  # torch

        encoder = PathEncoder(architecture, **self._shape, residual_init=self.encoder.residual_init)
        return self._detector(encoder, classes)

    def baseline_detector(self, classes: Sequence[str], variant: Any = None) -> "nn.Module":
        """The FPN detector: a ResNet of timm, scaled to the budget, under the same heads.

        variant: (width, channels) of another than the plain one.
        """
        from supernet.strides.fpn_encoder import FpnEncoder  # torch

        width, channels = variant or self.baseline_shape
        shape = {**self._fpn, "width": width, "channels": channels}
        encoder = FpnEncoder(
            self.baseline.backbone,
            **shape,
            residual_init=self.baseline.residual_init,
            weights=self.baseline.weights,
        )
        return self._detector(encoder, classes)

    def _detector(self, encoder: "nn.Module", classes: Sequence[str]) -> "nn.Module":
        sides = {"short_side": self.sides.short, "long_side": self.sides.long}
        detector: nn.Module = self.detector(encoder=encoder, num_classes=len(classes), **sides)
        return detector

    @cached_property
    def recipe(self) -> Recipe:
        return self.candidate.recipe_with(self.schedule)

    @property
    def iterations(self) -> int:
        return self.candidate.iterations

    def candidates(
        self, weights: "Path | Mapping[str, Tensor] | None", classes: Sequence[str], *, seed: int
    ) -> "nn.Module":
        """The supernet."""
        from msnas.engine.checkpoint import load_weights  # torch
        from msnas.families.initial_weights import pretraining_network

        supernet = pretraining_network(self, classes, seed=seed)
        if isinstance(weights, Path):
            load_weights(weights, supernet)
        elif weights is not None:
            supernet.load_state_dict(weights)
        return supernet

    def branches(self, architecture: Architecture) -> Sequence[str]:
        """A mixed block holds one of each stride."""
        return [f"block {number:02d}, stride {stride:g}" for number, stride in enumerate(architecture.strides, start=1)]

    def without_trunk(self, detector: "nn.Module") -> AbstractContextManager[None] | None:
        """None where no branch is trained: an FPN's behind a frozen backbone."""
        from supernet.strides.residuals import residual_norms, without_residuals  # torch

        encoder: nn.Module = detector.encoder  # type: ignore[assignment]
        trained = any(norm.weight.requires_grad for norm in residual_norms(encoder))
        return without_residuals(encoder) if trained else None

    def pictures_beside_baseline(self, architecture: Architecture, title: str) -> list[Picture]:
        fpn = Fpn(self.baseline.backbone, self.baseline.width, self.baseline.channels)
        return [Picture(architecture, title, space=self.space), Picture(fpn, "FPN baseline", space=self.space)]

    def gene(self, section: str, cardinality: int) -> tuple[str, list[str], list[str] | None]:
        """A block's stride, or the stride that a head reads."""
        if section == "encoder" and cardinality == len(BLOCK_STRIDES):
            strides = [f"{stride:g}" for stride in BLOCK_STRIDES]
            return "block", [f"stride {stride}" for stride in strides], strides
        if section == "heads" and cardinality == NUM_LEVELS:
            return "head", [f"stride {stride}" for stride in stride_levels(self.space.base_stride)], None
        return Family.gene(self, section, cardinality)
