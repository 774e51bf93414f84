"""Random search: the yardstick. Genomes drawn from inside the budget, no genome twice."""

from evolution.generational import Generational
from evolution.operators import Offspring, sample_new
from evolution.population import Individual
from evolution.strategy import Genome


class RandomSearch(Generational):
    """As many evaluations as the evolution with the same numbers: population_size + iterations x children."""

    def _breed(self, taken: set[Genome]) -> Offspring:
        return sample_new(self.space, self.children, taken, self.rng, max_attempts=self.max_attempts)

    def _select(self, newcomers: list[Individual]) -> list[Individual]:
        return newcomers  # the generation's own statistics; the best ever are in the hall of fame
