"""Random search: the yardstick. Genomes drawn from inside the budget, no genome twice."""

from evolution.generational import Generational
from evolution.operators import Brood, sample_new
from evolution.population import Individual
from evolution.strategy import Genome, Space


class RandomSearch(Generational):
    """As many evaluations as the evolution with the same numbers: population_size + iterations x children."""

    def __init__(
        self,
        space: Space,
        *,
        seed: int,
        population_size: int = 50,
        children: int = 60,
        iterations: int = 20,
        max_attempts: int = 1000,
    ) -> None:
        super().__init__(
            space,
            seed=seed,
            population_size=population_size,
            children=children,
            iterations=iterations,
            max_attempts=max_attempts,
        )

    def _breed(self, taken: set[Genome]) -> Brood:
        return sample_new(self.space, self.children, taken, self.rng, max_attempts=self.max_attempts)

    def _select(self, newcomers: list[Individual]) -> list[Individual]:
        return newcomers  # the generation's own statistics; the best ever are in the hall of fame
