"""Algorithm 1 of "Multi-scale Network Architecture Search for Object Detection" (MSNAS), section 3.4.

Where the paper is silent: an attempt makes one child per operator from parents drawn uniformly; an iteration
stops at `children` new children; genomes scored before do not count; `n_random` counts the accepted ones.
"""

from collections.abc import Sequence

from deap import tools

from evolution.errors import StrategyError
from evolution.generational import Generational
from evolution.operators import Brood, Operator, breed, make_variation, operators_of, sample_new
from evolution.population import Individual
from evolution.strategy import Genome, Space, check_positive


class MultiScaleEvolution(Generational):
    """Elitist evolution that crosses and mutates every section of the genome separately.

    variation: `paper`, `exact`, or `auto`: exact where the space has `neighbour`.
    patience: `exact` only: attempts in a row without a new child after which the iteration ends.
    """

    def __init__(
        self,
        space: Space,
        *,
        seed: int,
        population_size: int = 50,  # P
        children: int = 50,
        iterations: int = 20,  # T
        n_random: int = 10,
        max_attempts: int = 1000,  # M
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
        if not isinstance(n_random, int) or n_random < 0:
            raise StrategyError(f"`n_random` is a whole number of at least 0, but got {n_random!r}.")
        self.n_random = n_random
        self.operators = operators_of(space)
        self.variation = make_variation(variation, space, mutation_rate=mutation_rate, draws=draws, patience=patience)

    def _breed(self, taken: set[Genome]) -> Brood:
        brood = breed(  # Alg. 1, lines 3-10
            self._attempt,
            self.variation,
            taken,
            self.rng,
            wanted=self.children,
            max_attempts=self.max_attempts,
        )
        random = sample_new(self.space, self.n_random, taken, self.rng, max_attempts=self.max_attempts)
        brood.add(random)  # Alg. 1, lines 11-13
        return brood

    def _attempt(self) -> list[tuple[Operator, Sequence[Genome]]]:
        return [(operator, self._parents(operator)) for operator in self.operators]  # Alg. 1, line 6

    def _parents(self, operator: Operator) -> list[Genome]:
        """Uniform from the last population, two different ones where there are two."""
        count = min(operator.parents, len(self.population))
        drawn = self.rng.choice(len(self.population), size=count, replace=False)
        parents = [self.population[int(index)].genome for index in drawn]
        return parents * (operator.parents // count)

    def _select(self, newcomers: list[Individual]) -> list[Individual]:
        best: list[Individual] = tools.selBest(self.population + newcomers, self.population_size)  # Alg. 1, line 14
        return best
