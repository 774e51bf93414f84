"""What the stages must know of a family of networks: one class, made of typed values, that answers for its space.

`family` in conf/space/*.yaml names the class, a frozen dataclass. Its fields `space`, `detector`, `sides`, `schedule`
and `budget_macs` are filled by `msnas.setup`; every other field is a group of options of the same name, as the
dataclass that the field is annotated with; `fixed_by` says which stage fixes it. A family imports torch inside its
methods only, so that costs need not wait for it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self, cast

from evolution.driver import Finalist
from evolution.strategy import Evaluation, Genome, Record
from msnas.config.blueprint import Blueprint
from msnas.data.check.object_sizes import Boxes, Fit
from msnas.data.settings import DataSettings
from msnas.errors import ConfigError
from msnas.runs.folder import HISTORY
from supernet.cost import Cost
from supernet.space import Budget, SearchSpace
from supernet.strides.first_stage_cost import PathStart

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from msnas.data.opening import Splits
    from msnas.engine.devices import Hardware
    from msnas.families.search_settings import SearchSettings

Pretraining = Literal["supernet", "backbone"] | None
Stage = Literal["supernet", "search", "retrain"]
ONE_BASELINE = {  # what is unread where winners are compared with one FPN of one size
    "baseline.scaled": "The FPN baseline of this space is never scaled to a budget",
    "retrain.point": "No architecture of this space is an FPN-style point",
    "retrain.fpn_heads": "Winners of this space have no heads that its FPN baseline could take",
    "retrain.random": "Winners of this space have no heads that networks drawn at random could take",
}
NO_SUPERNET = "Only a supernet is trained on paths through a space"


@dataclass(frozen=True)
class Sides:
    """Pixels that images are resized to: the short side, unless the long one would then exceed `long`."""

    short: int
    long: int


@dataclass(frozen=True)
class ScoredNetwork:
    """One of the best of a search: its architecture, what it costs there, and its scores."""

    architecture: Any
    cost: Cost
    finalist: Finalist


@dataclass(frozen=True)
class SearchOutcome:
    """What a search found: `winners` are the best of `finalists`, both best first; the rest counts evaluations.

    seconds: by the clock, all runs together.
    """

    winners: tuple[ScoredNetwork, ...]
    finalists: tuple[ScoredNetwork, ...]
    evaluated: int
    failed: int
    inside_budget: int
    seconds: float
    front: list[dict[str, Any]] | None = None  # of a search with several objectives


@dataclass(frozen=True)
class SearchTrial:
    """What a search takes: seconds before its first evaluation, seconds of each, bytes cached in memory, on disk."""

    before: float
    each: float
    memory: int
    disk: int


class SearchProgress(Protocol):
    """Who is told how far a search is."""

    def part(self, name: str) -> None:
        """A part of the search begins: one of several spaces."""

    def known(self, evaluations: int) -> None:
        """So many evaluations of this part were finished before."""

    def evaluation(self, evaluation: Evaluation, number: int, of: int) -> None:
        """One candidate is finished, the `number`-th of its generation."""

    def generation(self, record: Record) -> None:
        """One generation is finished and stored."""

    def preparation(self, label: str, done: int, of: int) -> None:
        """So many steps of what is done before candidates can be scored."""


@dataclass(frozen=True)
class Baseline:
    """A network that winners are compared with: the name of its folder, what a table calls it, what it is.

    architecture: of the space, built as a winner is; None: the family's FPN baseline, which `text` describes. variant:
    which FPN, in the family's own terms; None: the plain one.
    """

    folder: str
    name: str
    text: str
    cost: Cost
    architecture: Any = None
    variant: Any = None


@dataclass(frozen=True)
class Picture:
    """A network to draw, the words above it, and the space that a row of blocks and strides belongs to.

    network: an architecture of the family; or its FPN baseline, by whatever value the family draws it from.
    """

    network: Any
    title: str
    subtitle: str = ""
    space: Any = None


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

    @property
    def options(self) -> tuple[str, ...]:
        """The words that make the family's networks of its shape: which space, backbone, how wide, how often."""

    def cost_row(self, input_size: tuple[int, int] | None = None) -> dict[str, Any]:
        """Name, architecture and exact costs at `input_size`, by default the published one."""

    def picture(self, input_size: tuple[int, int]) -> Picture:
        """What is drawn of it. Raises ConfigError for a baseline that there is nothing to draw of."""


class Family(ABC):
    """A family of networks over one search space."""

    pretraining: ClassVar[Pretraining]
    """What `msnas train` trains before a search: the supernet whose weights candidates take, a backbone that is then
    frozen, or nothing, so that a search is the first stage."""

    fixed_by: ClassVar[Mapping[str, Stage]] = {}
    """The stage that reads each of the family's own groups of options first: from then on they may not change any more,
    and its help shows them. A group that is not named here is the first stage's."""

    has_size_groups: ClassVar[bool] = False
    """Whether heads serve groups of object sizes and choose the strides that they read."""

    has_part_latencies: ClassVar[bool] = False
    """Whether a network's latency is a sum over parts, which `msnas latency` measures."""

    space: SearchSpace
    """The search space, at the input size that costs are counted at."""

    # What is known without any options

    @staticmethod
    @abstractmethod
    def divisor(space: Mapping[str, Any]) -> int:
        """What the sides of an input must be multiples of, for the options `space.*`."""

    @classmethod
    def check_detector(cls, detector: Blueprint) -> None:
        """Raise ConfigError for a detector that the family's networks cannot stand under; none by default."""
        return

    @staticmethod
    @abstractmethod
    def zoo() -> Sequence[Published]:
        """The family's published networks."""

    @staticmethod
    @abstractmethod
    def recognised(text: str) -> Any | None:
        """The architecture that a text is whatever the space, None where that needs a space or is another family's."""

    @staticmethod
    @abstractmethod
    def draw(pictures: Sequence[Picture], path: Path, *, borders: Sequence[float] | None = None) -> None:
        """One picture of all of them, SVG or PNG by the ending of `path`. Raises ConfigError for too many.

        borders: between the groups of object sizes, pixels; by default by the input's size.
        """

    @classmethod
    def learns_on_features(cls, groups: Mapping[str, Any]) -> bool:
        """Whether `prepared` puts features in the place of pixels, by the family's groups of options."""
        return False

    @classmethod
    def unread(cls, groups: Mapping[str, Any]) -> Mapping[str, str]:
        """Options of every family, or of `groups`, that nothing reads here, each with the reason.

        groups: the family's own groups of options, by name.
        """
        return {} if cls.pretraining == "supernet" else dict.fromkeys(("train.paths", "train.sampling"), NO_SUPERNET)

    @staticmethod
    def options_by_boxes(
        space: Blueprint, known: Mapping[str, Any], boxes: Callable[[], Boxes], fit: Callable[[], Fit]
    ) -> dict[str, Any]:
        """The options `space.*` that the training boxes decide, where the configuration says so; none by default.

        known: options that are decided already, in place of the configured ones. Raises ConfigError.
        """
        return {}

    # Architectures and costs

    @abstractmethod
    def parse(self, text: str) -> Hashable:
        """The architecture that a result or a user calls `text`. Raises SpaceError."""

    @abstractmethod
    def cost(self, architecture: Any) -> Cost:
        """Exact cost of the detector that an architecture is retrained as, at the space's input size."""

    def row(self, text: str) -> dict[str, Any]:
        """What `msnas cost` says of `text`: by default the architecture's cost in the space."""
        architecture = self.space.parse(text)
        return {"architecture": str(architecture), **self.space.cost(self.space.encode(architecture)).by_name()}

    @property
    @abstractmethod
    def baseline_cost(self) -> Cost:
        """Exact cost of the FPN baseline."""

    @property
    @abstractmethod
    def baseline_name(self) -> str:
        """The FPN baseline in a table: backbone, width and channels."""

    def counted_in(self, space: SearchSpace) -> Self:
        """The same networks; what they cost is counted at the input size of `space`, which is otherwise the same."""
        family: Any = self  # a dataclass, as every family is
        return cast(Self, replace(family, space=space))

    @property
    def start(self) -> PathStart | None:
        """What the paths of stride-variable blocks begin from; None: a stem, or there are no such paths."""
        return None

    def points(self, budget: Budget | None) -> list[Baseline]:
        """Architectures of the space that winners are compared with beside the FPN baseline, near the budget."""
        return []

    def baseline_of_size(self, macs: int) -> "tuple[str, Cost, Any] | None":
        """The FPN baseline scaled to so many MACs: its name, cost and `variant`; None where it has one size."""
        return None

    def fpn_with_heads_of(self, architecture: Any) -> Baseline | None:
        """The FPN baseline with a winner's heads, at the plain one's cost; None where there is no such thing."""
        return None

    def alike(self, architecture: Any, budget: Budget | None, number: int, rng: "np.random.Generator") -> list[Any]:
        """So many other architectures inside the budget with the heads of a winner, drawn uniformly."""
        raise ConfigError("retrain.random needs a space whose networks have heads of their own; leave it out here.")

    # Networks

    def pretraining_detector(self, classes: Sequence[str]) -> "nn.Module":
        """The detector that `msnas train` trains; asked for where `pretraining` is not None."""
        raise AssertionError("a search is the first stage")

    def timed_detector(self, classes: Sequence[str]) -> "nn.Module":
        """The same to be timed: with whatever weights are at hand, for they change no latency."""
        return self.pretraining_detector(classes)

    @abstractmethod
    def detector_of(self, architecture: Any, classes: Sequence[str]) -> "nn.Module":
        """The detector that an architecture is retrained as."""

    @abstractmethod
    def baseline_detector(self, classes: Sequence[str], variant: Any = None) -> "nn.Module":
        """The FPN baseline, or a variant of it."""

    @staticmethod
    def of_toolbox(state: "Mapping[str, Tensor]") -> "nn.Module | None":
        """The detector that mmdetection's state dict holds; None where it is none of the family's, as by default.

        Raises ModelError where it is one, but a tensor is missing, left over or of another shape.
        """
        return None

    # Data

    @property
    def cached_views(self) -> int:
        """Views of a training image whose features `prepared` computes; of an image that is scored there is one."""
        return 1

    def prepared(
        self,
        splits: "Splits",
        data: DataSettings,
        hardware: "Hardware",
        progress: Callable[[int, str], None] | None = None,
        *,
        folder: Path | None = None,
    ) -> "Splits":
        """The splits as the family's networks read them: as they are, or as features of a part that is frozen.

        data: how the images of `splits` are read. folder: where features lie; None: where every stage and run finds
        them.
        """
        return splits

    # Diagnosis

    def branches(self, architecture: Any) -> Sequence[str]:
        """The supernet's branches that a path goes through, by name; none by default."""
        return ()

    def without_trunk(self, detector: "nn.Module") -> AbstractContextManager[None] | None:
        """A block in which the detector's residual branches add nothing; None where it has none of ours."""
        return None

    # The search

    @property
    def scored_by_loss(self) -> bool:
        """Whether candidates are judged by minus a loss and not by an AP."""
        return False

    def check_search(self, settings: "SearchSettings") -> None:
        """Raise ConfigError for options that a search of this family cannot have; none by default."""
        return

    def evaluations(self, strategy: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """The options of every strategy that a search runs one after the other; one by default."""
        return [strategy]

    def scored(self, genome: Sequence[int], found: Any) -> Any:
        """The architecture that a genome of the search's last space stands for, beside one that was `found` there."""
        return self.space.decode(genome)

    @property
    def histories(self) -> tuple[str, ...]:
        """The file of each space that a search goes through, in this order, in the search's folder."""
        return (HISTORY,)

    @abstractmethod
    def search(self, settings: "SearchSettings", splits: "Splits", progress: SearchProgress) -> SearchOutcome:
        """The search, on from where `settings.folder` stands."""

    def caches_ahead(self, detector: "nn.Module", splits: "Splits", *, seed: int) -> str | None:
        """What a search on the `detector` will cache, in a line said before that is trained; None by default."""
        return None

    def trial_of_search(
        self, space: SearchSpace, whole: "Splits", few: "Splits", *, seed: int, hardware: "Hardware", folder: Path
    ) -> SearchTrial | None:
        """What `few` of the images say of a search on the `whole`; None where candidates are timed as whole detectors.

        space: with the budget bound in. folder: for what is cached meanwhile.
        """
        return None

    # The report

    def pictures_beside_baseline(self, architecture: Any, title: str) -> list[Picture]:
        """The architecture and the FPN baseline as one picture, [] where the family has none."""
        return []

    def gene(self, section: str, cardinality: int) -> tuple[str, list[str], list[str] | None]:
        """What a gene of a section is called, what its values are, and the block strides that colour them, if any."""
        return section, [f"choice {value}" for value in range(cardinality)], None

    def second_search(self, evaluated: int) -> str:
        """What the page says of the second space that a search went through, and of its evaluations."""
        raise AssertionError("a search has one space")

    def sharing(self, drawn: Sequence[Genome], second: Sequence[Genome]) -> dict[str, Any] | None:
        """Which heads share their weights over time, of a search that has heads; `second`: a second space's.

        drawn: all genomes in their order, repeated where a controller drew them again.
        """
        return None


def require_detector(family: str, detector: Blueprint, target: str, word: str) -> None:
    """Raise ConfigError unless the detector is the one that the family's networks stand under."""
    if detector.target != target:
        got = detector.target.rpartition(".")[2]
        raise ConfigError(f"The networks of {family} stand under {word}, but got {got}; give {word}.")


def require_matplotlib() -> None:
    """Raise ConfigError where the extra that draws is not installed."""
    if find_spec("matplotlib") is None:
        raise ConfigError('Pictures need matplotlib: pip install "msnas[report]".')


def nothing_searched(name: str) -> ConfigError:
    """What is said where the published network `name` is used as an architecture, but is a baseline."""
    return ConfigError(f"zoo={name} is a baseline, where nothing was searched; name one of msnas_* or nas_*.")
