"""Aging evolution: the oldest individual dies, the best of a random sample breeds.

Real et al., "Regularized Evolution for Image Classifier Architecture Search", arXiv 1802.01548, Algorithm 1.
"""

from collections.abc import Sequence

from evolution.errors import StrategyError
from evolution.generational import Generational
from evolution.operators import Brood, Operator, breed, make_variation, operators_of, sample_new
from evolution.population import Individual
from evolution.strategy import Evaluation, Genome, Space, check_positive


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
        self.variation = make_variation(variation, space, mutation_rate=mutation_rate, draws=draws, patience=patience)

    # Steady state, as the paper runs it: asked as soon as a worker is free, no generation is waited for

    @property
    def total(self) -> int:
        """How many genomes are scored in all."""
        return self.population_size + self.iterations * self.children

    @property
    def told(self) -> int:
        """How many of them were told."""
        return len(self._scored)

    def in_flight(self) -> list[Genome]:
        """The genomes that were asked and not yet told."""
        return list(self._asked)

    def ask_one(self) -> Genome | None:
        """One more genome, whatever is still in flight; None when all were asked, or no new one is found."""
        known = self._scored | self._asked.keys()
        if len(known) >= self.total:
            return None
        if len(known) < self.population_size or not self.population:
            brood = sample_new(self.space, 1, known, self.rng, max_attempts=self.max_attempts)
        else:
            brood = self._bear(known, 1)
        self._asked.update(brood.children)
        return next(iter(brood.children), None)

    def tell_one(self, evaluation: Evaluation) -> bool:
        """Take in one evaluation. True where it completes a generation's number of them and `record` is new."""
        del self._asked[evaluation.genome]
        self._scored.add(evaluation.genome)
        newcomers = [self._individual(evaluation)] if evaluation.ok else []
        self._hall.update(newcomers)
        self.population = self._select(newcomers)
        self._bred["failed"] = self._bred.get("failed", 0) + (not evaluation.ok)
        complete = len(self._scored) == self.population_size + self.generation * self.children
        if complete:
            count = self.children if self.generation else self.population_size
            self.record = {"generation": self.generation, "children": count, **self._bred, **self._summary()}
            self.generation, self._bred = self.generation + 1, {}
        return complete

    # One generation

    def _breed(self, taken: set[Genome]) -> Brood:
        return self._bear(taken, self.children)

    def _bear(self, taken: set[Genome], wanted: int) -> Brood:
        return breed(self._attempt, self.variation, taken, self.rng, wanted=wanted, max_attempts=self.max_attempts)

    def _attempt(self) -> list[tuple[Operator, Sequence[Genome]]]:
        operator = self.operators[self.rng.integers(len(self.operators))]
        return [(operator, [self._tournament_winner()])]

    def _tournament_winner(self) -> Genome:
        sample = self.rng.integers(len(self.population), size=self.sample_size)  # with replacement, as the paper
        return max((self.population[int(index)] for index in sample), key=lambda one: one.fitness).genome

    def _select(self, newcomers: list[Individual]) -> list[Individual]:
        return (self.population + newcomers)[-self.population_size :]  # the oldest stand first, and go
