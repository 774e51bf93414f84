"""What the stages must know of a family of networks: `family` in conf/space/*.yaml names the module that knows it.

Such a module has the functions of `Family` at its top level and imports torch inside them only.
"""

import importlib
from collections.abc import Sequence
from typing import Any, Protocol, cast

from omegaconf import DictConfig

from msnas.errors import ConfigError
from supernet.cost import Cost

Size = tuple[int, int]  # (height, width) in pixels


class Family(Protocol):
    """A family of networks."""

    SHARES_WEIGHTS: bool
    """Candidates take their weights from a supernet that `msnas train` makes; otherwise a search is the first stage."""

    def divisor(self, config: DictConfig) -> int:
        """What the sides of an input must be multiples of."""

    def cost(self, config: DictConfig, architecture: Any, input_size: Size) -> Cost:
        """Exact cost of the detector that an architecture is retrained as."""

    def baseline_cost(self, config: DictConfig, input_size: Size) -> Cost:
        """Exact cost of the FPN baseline."""

    def baseline_name(self, config: DictConfig) -> str:
        """The FPN baseline in a table."""

    def parse(self, config: DictConfig, text: str) -> Any:
        """The architecture that a result or a user calls `text`. Raises SpaceError."""

    def detector(self, config: DictConfig, architecture: Any, classes: Sequence[str]) -> Any:
        """The detector that an architecture is retrained as."""

    def baseline(self, config: DictConfig, classes: Sequence[str]) -> Any:
        """The FPN baseline."""

    def recipe(self, config: DictConfig) -> Any:
        """How a candidate is scored."""


def family_of(config: DictConfig) -> Family:
    """The family of the configuration's space."""
    name = str(config.family)
    if not name.startswith("msnas."):
        raise ConfigError(f"family must be a module of this library, but got {name!r}.")
    return cast(Family, importlib.import_module(name))
