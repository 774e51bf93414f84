"""What the stages must know of a family of networks: `family` in conf/space/*.yaml names the module that knows it.

Such a module has the functions of `Family` at its top level and imports torch inside them only.
"""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from omegaconf import DictConfig

from evolution.driver import Finalist
from evolution.strategy import Evaluation, Record
from msnas.errors import ConfigError
from supernet.cost import Cost

Size = tuple[int, int]  # (height, width) in pixels


@dataclass(frozen=True)
class Chosen:
    """One of the best of a search: its architecture, what it costs there, and its scores."""

    architecture: Any
    cost: Cost
    finalist: Finalist


@dataclass(frozen=True)
class Found:
    """What a search found: `winners` are the best of `finalists`, both best first; the rest counts evaluations."""

    winners: tuple[Chosen, ...]
    finalists: tuple[Chosen, ...]
    evaluated: int
    failed: int
    inside_budget: int
    seconds: float
    front: list[dict[str, Any]] | None = None  # of a search with several objectives


class Told(Protocol):
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


class Family(Protocol):
    """A family of networks."""

    FIRST: str
    """What `msnas train` trains before a search: the "supernet", a "backbone"; "" where a search is the first stage."""

    SHARES_WEIGHTS: bool
    """Candidates take their weights from what `msnas train` made."""

    def divisor(self, config: DictConfig) -> int:
        """What the sides of an input must be multiples of."""

    def cost(self, config: DictConfig, architecture: Any, input_size: Size) -> Cost:
        """Exact cost of the detector that an architecture is retrained as."""

    def baseline_cost(self, config: DictConfig, input_size: Size) -> Cost:
        """Exact cost of the FPN baseline."""

    def baseline_name(self, config: DictConfig) -> str:
        """The FPN baseline in a table."""

    def first(self, config: DictConfig, classes: Sequence[str]) -> Any:
        """The detector that `msnas train` trains; asked for where `FIRST` is not ""."""

    def parse(self, config: DictConfig, text: str) -> Any:
        """The architecture that a result or a user calls `text`. Raises SpaceError."""

    def detector(self, config: DictConfig, architecture: Any, classes: Sequence[str]) -> Any:
        """The detector that an architecture is retrained as."""

    def baseline(self, config: DictConfig, classes: Sequence[str]) -> Any:
        """The FPN baseline."""

    def recipe(self, config: DictConfig) -> Any:
        """How a candidate is scored."""

    def search(
        self, config: DictConfig, splits: Any, *, space: Any, weights: Path, folder: Path, hardware: Any, told: Told
    ) -> Found:
        """The search, on from where `folder` stands. weights: what `msnas train` left."""


def family_of(config: DictConfig) -> Family:
    """The family of the configuration's space."""
    name = str(config.family)
    if not name.startswith("msnas."):
        raise ConfigError(f"family must be a module of this library, but got {name!r}.")
    return cast(Family, importlib.import_module(name))
