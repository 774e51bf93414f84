"""Aging evolution: the oldest individual dies, the best of a random sample breeds.

Real et al., "Regularized Evolution for Image Classifier Architecture Search", arXiv 1802.01548, Algorithm 1.
"""

from typing import Unpack

from evolution.errors import StrategyError
from evolution.evolving import Attempt, Evolving, Variations
from evolution.operators import Operator
from evolution.population import Individual
from evolution.strategy import Genome, Space


class RegularizedEvolution(Evolving):
    """Mutation only. The paper makes one child at a time; `children` a generation can be scored side by side.

    population_size: P. sample_size: S, candidates of a tournament; None: a quarter of the population, as the paper's
    25 of 100, but two at least: one alone is no selection.
    """

    def __init__(self, space: Space, *, sample_size: int | None = None, **options: Unpack[Variations]) -> None:
        super().__init__(space, **options)
        population_size = self.population_size
        self.sample_size = min(population_size, max(2, population_size // 4)) if sample_size is None else sample_size
        if not 0 < self.sample_size <= population_size:
            raise StrategyError(
                f"`0 < sample_size <= population_size` must hold, but got {sample_size=}, {population_size=}."
            )
        self.operators = [operator for operator in self.operators if operator.parents == 1]

    def _attempt(self) -> Attempt:
        """A child by one operator, each as likely as another."""
        operator = self.operators[self.rng.integers(len(self.operators))]
        return [(operator, self._parents(operator))]

    def _parents(self, operator: Operator) -> list[Genome]:
        return [self._tournament_winner()]

    def _tournament_winner(self) -> Genome:
        sample = self.rng.integers(len(self.population), size=self.sample_size)  # with replacement, as the paper
        return max((self.population[int(index)] for index in sample), key=lambda one: one.fitness).genome

    def _select(self, newcomers: list[Individual]) -> list[Individual]:
        return (self.population + newcomers)[-self.population_size :]  # the oldest stand first, and go
