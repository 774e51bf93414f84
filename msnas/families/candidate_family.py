"""A family whose candidates are whole detectors: how one is scored, and where its network comes from."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msnas.engine.recipe import Recipe
from msnas.families.family import Family

if TYPE_CHECKING:
    from torch import Tensor, nn


class CandidateFamily(Family):
    """What `CandidateEvaluator` is made of."""

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


def weight_sharing(family: Family) -> CandidateFamily | None:
    """The family, where its candidates take a supernet's weights; else None."""
    return family if isinstance(family, CandidateFamily) and family.pretraining == "supernet" else None
