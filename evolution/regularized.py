"""Aging evolution: the oldest individual dies, the best of a random sample breeds.

Real et al., "Regularized Evolution for Image Classifier Architecture Search", arXiv 1802.01548, Algorithm 1.
"""

from collections.abc import Sequence

from evolution.errors import StrategyError
from evolution.generational import Generational
from evolution.operators import Brood, Operator, breed, make_variation, operators_of
from evolution.population import Individual
from evolution.strategy import Genome, Space, check_positive


class RegularizedEvolution(Generational):
    """Mutation only. The paper makes one child at a time; `children` a generation can be scored side by side.

    sample_size: candidates of a tournament; None: a quarter of the population, as the paper's 25 of 100.
    """

    def __init__(
        self,
        space: Space,
        *,
        seed: int,
        population_size: int = 100,  # P
        sample_size: int | None = None,  # S
        children: int = 10,
        iterations: int = 115,
        max_attempts: int = 1000,
        mutation_rate: float = 0.1,
        variation: str = "auto",
        draws: int = 8,
        patience: int = 20,
    ) -> None:
        super().__init__(
            space,
            seed=seed,
            population_size=population_size,
            children=children,
            iterations=iterations,
            max_attempts=max_attempts,
        )
        check_positive(draws=draws, patience=patience)
        self.sample_size = max(1, population_size // 4) if sample_size is None else sample_size
        if not 0 < self.sample_size <= population_size:
            raise StrategyError(
                f"`0 < sample_size <= population_size` must hold, but got {sample_size=}, {population_size=}."
            )
        self.operators = [operator for operator in operators_of(space) if operator.parents == 1]
        self.variation = make_variation(
            variation, space, mutation_rate=mutation_rate, draws=draws, patience=patience
        )

    def _breed(self, taken: set[Genome]) -> Brood:
        return breed(
            self._attempt,
            self.variation,
            taken,
            self.rng,
            wanted=self.children,
            max_attempts=self.max_attempts,
        )

    def _attempt(self) -> list[tuple[Operator, Sequence[Genome]]]:
        operator = self.operators[self.rng.integers(len(self.operators))]
        return [(operator, [self._tournament_winner()])]

    def _tournament_winner(self) -> Genome:
        sample = self.rng.integers(
            len(self.population), size=self.sample_size
        )  # with replacement, as the paper
        return max((self.population[int(index)] for index in sample), key=lambda one: one.fitness).genome

    def _select(self, newcomers: list[Individual]) -> list[Individual]:
        return (self.population + newcomers)[-self.population_size :]  # the oldest stand first, and go
