"""What all our strategies share: the genomes asked and scored, the best ever, and the state of it all."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Required, TypedDict

import numpy as np
from deap import tools

from evolution.errors import StrategyError
from evolution.operators import Offspring, sample_new
from evolution.population import GenomeLog, Individual, refill, same_genome, succeeded, summary
from evolution.strategy import Evaluation, Genome, Record, Space, as_genome, check_natural, check_positive

HALL_SIZE = 64  # how many of the best ever are kept for `best`


class Sizes(TypedDict, total=False):
    """The options of every strategy, as `Generational` takes them."""

    seed: Required[int]
    population_size: int
    children: int
    iterations: int
    max_attempts: int


class Generational(ABC):
    """Generation 0 is drawn from the space; then `iterations` generations of `children`, made by `_breed`.

    A genome is asked once only. Failed evaluations are never parents and never among the best. The defaults are
    Algorithm 1's; conf/strategy has those of each strategy.
    """

    ranks_rungs = True  # scores are only compared, so that those of the rungs of halving may stand side by side

    def __init__(
        self,
        space: Space,
        *,
        seed: int,
        population_size: int = 50,
        children: int = 50,
        iterations: int = 20,
        max_attempts: int = 1000,
    ) -> None:
        check_positive(population_size=population_size, children=children, max_attempts=max_attempts)
        self.space = space
        self.population_size = population_size
        self.children = children
        self.iterations = check_natural("iterations", iterations)
        self.max_attempts = max_attempts
        self.rng = np.random.default_rng(seed)
        self.generation = 0
        self.stopped = ""  # why the search ended before its last iteration
        self.record: Record = {}
        self.population: list[Individual] = []
        self._asked: dict[Genome, str] = {}  # genome -> origin, in the order asked
        self._scored = GenomeLog()
        self._bred: Record = {}  # the record of the generation that is asked, before it is told
        self._hall = tools.HallOfFame(HALL_SIZE, similar=same_genome)

    # What a strategy adds

    @abstractmethod
    def _breed(self, taken: set[Genome]) -> Offspring:
        """The next generation's children, none of them in `taken`; the population is not empty."""

    @abstractmethod
    def _select(self, newcomers: list[Individual]) -> list[Individual]:
        """The next population, from the one so far and the children just evaluated."""

    def _individual(self, evaluation: Evaluation) -> Individual:
        """An evaluation with the objectives that this strategy selects by."""
        return Individual(evaluation)

    # Ask and tell

    @property
    def finished(self) -> bool:
        return not self._asked and (bool(self.stopped) or self.generation > self.iterations)

    def ask(self) -> list[Genome]:
        if not self._asked and not self.finished:
            offspring = self._next_offspring()
            self._asked = offspring.children
            self._bred = {"generation": self.generation, **offspring.record()}
            if not self._asked:
                self._stop()
        return list(self._asked)

    def origin(self, genome: Genome) -> str:
        return self._asked[genome]

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        told = {evaluation.genome: evaluation for evaluation in evaluations}
        assert len(told) == len(evaluations), "a genome was told twice"
        assert told.keys() == self._asked.keys(), "tell exactly what was asked"
        in_order = [told[genome] for genome in self._asked]  # whatever order the workers finished in
        newcomers = [self._individual(evaluation) for evaluation in succeeded(in_order)]
        self._scored.add(self._asked)
        self._hall.update(newcomers)
        self.population = self._select(newcomers)
        self.record = {**self._bred, "failed": len(in_order) - len(newcomers), **self._summary()}
        self._asked, self._bred = {}, {}
        self.generation += 1

    def choose(self, evaluations: Iterable[Evaluation], k: int) -> list[Evaluation]:
        chosen = tools.selBest([self._individual(evaluation) for evaluation in succeeded(evaluations)], k)
        return [individual.evaluation for individual in chosen]

    def best(self, k: int) -> list[Evaluation]:
        return self.choose([individual.evaluation for individual in self._hall], k)

    def _next_offspring(self) -> Offspring:
        taken = set(self._scored.seen)
        if self.generation == 0 or not self.population:  # or everything failed so far: nobody to breed from
            count = self.population_size if self.generation == 0 else self.children
            return sample_new(self.space, count, taken, self.rng, max_attempts=self.max_attempts)
        return self._breed(taken)

    def _stop(self) -> None:
        """End the search for want of new genomes, with a record that says so."""
        self.stopped = (
            f"no new genome inside the budget was found for generation {self.generation} "
            f"({self._bred['attempts']} attempts, {sum(self._bred['draws'].values())} draws, "
            f"{len(self._scored.seen)} genomes scored before)"
        )
        self.record = {**self._bred, "stopped": self.stopped, "failed": 0, **self._summary()}
        self._bred = {}

    def _summary(self) -> Record:
        return summary(self.population)

    # State

    def state_dict(self) -> Record:
        return {
            "strategy": type(self).__name__,
            "generation": self.generation,
            "stopped": self.stopped,
            "record": self.record,
            "asked": [[list(genome), origin] for genome, origin in self._asked.items()],
            "bred": self._bred,
            "scored": self._scored.dump(),
            "hall": [individual.evaluation.to_dict() for individual in self._hall],
            "population": [individual.evaluation.to_dict() for individual in self.population],
            "rng": json.loads(json.dumps(self.rng.bit_generator.state)),
        }

    def load_state_dict(self, state: Record) -> None:
        """Raises StrategyError if the state is another strategy's."""
        if state["strategy"] != type(self).__name__:
            raise StrategyError(f"A state of {state['strategy']} cannot be loaded into {type(self).__name__}.")
        self.generation = state["generation"]
        self.stopped = state["stopped"]
        self.record = state["record"]
        self._asked = {as_genome(genome): origin for genome, origin in state["asked"]}
        self._bred = state["bred"]
        self._scored = GenomeLog.load(state["scored"])
        self.population = self._individuals(state["population"])
        refill(self._hall, self._individuals(state["hall"]))
        self.rng.bit_generator.state = state["rng"]

    def _individuals(self, saved: list[Record]) -> list[Individual]:
        return [self._individual(Evaluation.from_dict(values)) for values in saved]
