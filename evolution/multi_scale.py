"""Algorithm 1 of "Multi-scale Network Architecture Search for Object Detection" (MSNAS), section 3.4.

Where the paper is silent: an attempt makes one child per operator from parents drawn uniformly; an iteration
stops at `children` new children; genomes scored before do not count; `n_random` counts the accepted ones.
"""

from typing import Unpack

from deap import tools

from evolution.evolving import Evolving, Variations
from evolution.operators import Offspring, Operator, sample_new
from evolution.population import Individual
from evolution.strategy import Genome, Space, check_natural


class MultiScaleEvolution(Evolving):
    """Elitist evolution that crosses and mutates every section of the genome separately.

    population_size: P; iterations: T; max_attempts: M. n_random: random children a generation.
    """

    def __init__(self, space: Space, *, n_random: int = 10, **options: Unpack[Variations]) -> None:
        super().__init__(space, **options)
        self.n_random = check_natural("n_random", n_random)

    def _breed(self, taken: set[Genome]) -> Offspring:
        offspring = super()._breed(taken)  # Alg. 1, lines 3-10
        offspring.add(
            sample_new(self.space, self.n_random, taken, self.rng, max_attempts=self.max_attempts)
        )  # Alg. 1, lines 11-13
        return offspring

    def _parents(self, operator: Operator) -> list[Genome]:
        """Uniform from the last population, two different ones where there are two."""
        count = min(operator.parents, len(self.population))
        drawn = self.rng.choice(len(self.population), size=count, replace=False)
        parents = [self.population[int(index)].genome for index in drawn]
        return parents * (operator.parents // count)

    def _select(self, newcomers: list[Individual]) -> list[Individual]:
        best: list[Individual] = tools.selBest(self.population + newcomers, self.population_size)  # Alg. 1, line 14
        return best
