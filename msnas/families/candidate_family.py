"""A family whose search scores whole detectors, one candidate after another, in a single space."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msnas.engine.recipe import Recipe
from msnas.families.family import Family, SearchOutcome, SearchProgress
from msnas.families.front import check_objectives
from msnas.families.settings import SearchSettings

if TYPE_CHECKING:
    from torch import Tensor, nn

    from msnas.data.opening import Splits


class CandidateFamily(Family):
    """What such families share; a subclass says how a candidate is scored, and where its network comes from."""

    @property
    @abstractmethod
    def recipe(self) -> Recipe:
        """How a candidate is scored."""

    @property
    def iterations(self) -> int:
        """Steps of a candidate's training, also where the recipe leaves them out."""
        return self.recipe.iterations

    @abstractmethod
    def candidates(
        self, weights: "Path | Mapping[str, Tensor] | None", classes: Sequence[str], *, seed: int
    ) -> "nn.Module":
        """What `extract(architecture)` gives a candidate's network of: the supernet, or a builder of fresh ones.

        weights: of the supernet, a file or tensors; None: fresh ones.
        """

    def check_search(self, settings: SearchSettings) -> None:
        from msnas.families.candidates import rungs_of  # torch

        check_objectives(settings.strategy, settings.space)
        rungs_of(self, settings)
        settings.strategy(space=settings.space, seed=0)

    def search(self, settings: SearchSettings, splits: "Splits", progress: SearchProgress) -> SearchOutcome:
        from msnas.families.space_search import search_space  # torch

        return search_space(self, settings, splits, progress)
