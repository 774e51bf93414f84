"""What the evolutionary strategies share: operators, and the way they vary."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Unpack

from evolution.generational import Generational, Sizes
from evolution.operators import Offspring, Operator, breed, make_variation, operators_of
from evolution.strategy import Genome, Record, Space, check_positive

Attempt = list[tuple[Operator, Sequence[Genome]]]


class Variations(Sizes, total=False):
    """Further options of an evolutionary strategy."""

    mutation_rate: float
    variation: str
    draws: int
    patience: int


class Evolving(Generational):
    """A population that breeds a generation at once.

    variation: `paper`, `exact`, or `auto`: exact where the space has `neighbour`. mutation_rate: chance that a gene
    changes (`paper`). draws: known children drawn before the neighbourhood grows (`exact`). patience: attempts in a
    row without a new child after which a generation ends (`exact`).
    """

    def __init__(
        self,
        space: Space,
        *,
        mutation_rate: float = 0.1,
        variation: str = "auto",
        draws: int = 8,
        patience: int = 20,
        **sizes: Unpack[Sizes],
    ) -> None:
        super().__init__(space, **sizes)
        check_positive(draws=draws, patience=patience)
        self.operators = operators_of(space)
        self.variation = make_variation(variation, space, mutation_rate=mutation_rate, draws=draws, patience=patience)

    @abstractmethod
    def _parents(self, operator: Operator) -> list[Genome]:
        """As many as the operator takes, from the population, which is not empty."""

    def _attempt(self) -> Attempt:
        """What one attempt tries: here a child by every operator."""
        return [(operator, self._parents(operator)) for operator in self.operators]

    def _breed(self, taken: set[Genome]) -> Offspring:
        limits = {"wanted": self.children, "max_attempts": self.max_attempts}
        return breed(self._attempt, self.variation, taken, self.rng, **limits)

    def _summary(self) -> Record:
        """Also who survived."""
        return {**super()._summary(), "survivors": [list(individual.genome) for individual in self.population]}
