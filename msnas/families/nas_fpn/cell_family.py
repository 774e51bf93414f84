"""NAS-FPN: pyramids of merging cells under RetinaNet, every candidate trained from scratch.

A plan has two networks: the small one that a search trains to score it (`space.*` and `candidate.*`, section 4.2 of
arXiv 1904.07392), and the one that it is retrained as (`network.*`).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from msnas.config.blueprint import Blueprint
from msnas.engine.schedule import OptimizerName
from msnas.engine.training_options import ScheduleOptions
from msnas.families.family import ONE_BASELINE, Picture, Pretraining, Sides, Stage, require_detector, require_matplotlib
from msnas.families.nas_fpn import zoo_nas_fpn
from msnas.families.nas_fpn.scratch_recipe import ScratchRecipe
from msnas.families.one_space_family import OneSpaceFamily
from msnas.seeds import derive
from supernet.cost import Cost
from supernet.nas_fpn.cell_space import CellSpace
from supernet.nas_fpn.fpn_levels import FpnLevels
from supernet.nas_fpn.plan_cost import fpn_level_cost, nas_fpn_cost
from supernet.nas_fpn.pyramid_plan import PyramidPlan

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class ScratchOptions:
    """Options `candidate.*`: how a plan is scored. warmup, milestones: shares of the iterations. lr: at batch 32."""

    iterations: int
    batch: int
    optimizer: OptimizerName
    lr: float
    warmup: float
    milestones: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """Options `network.*`: what a plan is retrained as.

    dropblock: keep, block and ramp of DropBlock, or None. pooling: of gp cells, see `MergingPyramid`.
    """

    backbone: str
    width: float
    channels: int
    stacks: int
    weights: str | None
    pooling: str
    dropblock: Mapping[str, float] | None


@dataclass(frozen=True, kw_only=True)
class FpnOptions:
    """Options `baseline.*`; a NAS-FPN baseline is never scaled to the budget."""

    backbone: str
    width: float
    channels: int
    stacks: int
    scaled: bool
    weights: str | None


@dataclass(frozen=True, kw_only=True)
class CellFamily(OneSpaceFamily):
    """A budget counts the network that scores a plan; rows of a table the one that it is retrained as."""

    pretraining: ClassVar[Pretraining] = None
    fixed_by: ClassVar[Mapping[str, Stage]] = {"network": "retrain"}

    space: CellSpace
    detector: Blueprint
    sides: Sides
    schedule: ScheduleOptions
    candidate: ScratchOptions
    network: NetworkOptions
    baseline: FpnOptions

    @staticmethod
    def divisor(space: Mapping[str, Any]) -> int:
        """The coarsest level's stride."""
        return 1 << int(space["top_level"])

    @classmethod
    def check_detector(cls, detector: Blueprint) -> None:
        require_detector("NAS-FPN", detector, "msnas.detectors.retinanet.RetinaNet", "detector=retinanet")

    @classmethod
    def unread(cls, groups: Mapping[str, Any]) -> Mapping[str, str]:
        return {**super().unread(groups), **ONE_BASELINE}

    @staticmethod
    def zoo() -> Sequence[zoo_nas_fpn.PublishedRetinaNet]:
        return zoo_nas_fpn.ENTRIES

    @staticmethod
    def recognised(text: str) -> PyramidPlan | None:
        """Cells are known by their operations."""
        return PyramidPlan.parse(text) if re.search(r",(sum|gp)\b", text) else None

    @staticmethod
    def draw(pictures: Sequence[Picture], path: Path, *, borders: Sequence[float] | None = None) -> None:
        require_matplotlib()
        from msnas.drawings.cell_picture import TitledPlan, draw_plans  # an extra

        draw_plans([TitledPlan(p.network, p.title, p.subtitle) for p in pictures], path)

    @staticmethod
    def of_toolbox(state: "Mapping[str, Tensor]") -> "nn.Module | None":
        from msnas.families.nas_fpn.toolbox_nas_fpn import nas_fpn_of_toolbox  # torch

        return nas_fpn_of_toolbox(state)

    def parse(self, text: str) -> PyramidPlan:
        return self.space.parse(text)

    @cached_property
    def _input(self) -> dict[str, Any]:
        space = self.space.config
        return {"input_size": self.space.input_size, "num_classes": space["num_classes"], "lite": space["lite"]}

    def cost(self, architecture: PyramidPlan) -> Cost:
        """Exact cost of the detector that a plan is retrained as, at its last exit."""
        shape = {name: getattr(self.network, name) for name in ("backbone", "width", "channels", "stacks")}
        return nas_fpn_cost(architecture, **shape, **self._input)

    @property
    def _baseline_shape(self) -> dict[str, Any]:
        shape = {name: getattr(self.baseline, name) for name in ("backbone", "width", "channels", "stacks")}
        return {**shape, "lite": self.space.config["lite"]}

    @property
    def baseline_cost(self) -> Cost:
        """Exact cost of RetinaNet on FPN."""
        return fpn_level_cost(self.space.levels, **{**self._input, **self._baseline_shape})

    @property
    def baseline_name(self) -> str:
        baseline = self.baseline
        return f"{baseline.backbone}-FPN, width {baseline.width:g}, {baseline.channels} channels"

    def pictures_beside_baseline(self, architecture: PyramidPlan, title: str) -> list[Picture]:
        return [Picture(architecture, title), Picture(FpnLevels(self.space.levels), "FPN baseline")]

    def detector_of(self, architecture: PyramidPlan, classes: Sequence[str]) -> "nn.Module":
        from supernet.nas_fpn.plan_encoder import NasFpnEncoder  # torch

        encoder = NasFpnEncoder(architecture, lite=self.space.config["lite"], **vars(self.network))
        return self._retinanet(encoder, classes)

    def scored_detector(self, architecture: PyramidPlan, classes: Sequence[str]) -> "nn.Module":
        """The small detector that a plan is scored with."""
        from supernet.nas_fpn.plan_encoder import NasFpnEncoder  # torch

        shape = {name: self.space.config[name] for name in ("backbone", "width", "channels", "stacks", "lite")}
        return self._retinanet(NasFpnEncoder(architecture, **shape), classes, anytime=False)

    def baseline_detector(self, classes: Sequence[str], variant: Any = None) -> "nn.Module":
        """RetinaNet on FPN: same backbone, heads and recipe."""
        from supernet.nas_fpn.plan_encoder import FpnLevelEncoder  # torch

        top = self.space.top_level
        encoder = FpnLevelEncoder(**self._baseline_shape, top_level=top, weights=self.baseline.weights)
        return self._retinanet(encoder, classes, anytime=False)

    def _retinanet(self, encoder: "nn.Module", classes: Sequence[str], **changes: Any) -> "nn.Module":
        sides = {"short_side": self.sides.short, "long_side": self.sides.long}
        detector: nn.Module = self.detector(encoder=encoder, num_classes=len(classes), **{**sides, **changes})
        return detector

    @cached_property
    def recipe(self) -> ScratchRecipe:
        """A whole training in short, from scratch."""
        training = {name: getattr(self.schedule, name) for name in ("momentum", "weight_decay", "decay_norms", "clip")}
        return ScratchRecipe(**vars(self.candidate), **training)

    def candidates(
        self, weights: "Path | Mapping[str, Tensor] | None", classes: Sequence[str], *, seed: int
    ) -> "nn.Module":
        """Fresh networks: all plans start from the same weights, since their shapes are the same."""
        from msnas.families.nas_fpn.fresh_networks import FreshNetworks  # torch

        fresh = derive(seed, "initial weights", "candidate")
        return FreshNetworks(lambda plan: self.scored_detector(plan, classes), seed=fresh)
