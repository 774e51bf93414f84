"""What the evolutionary strategies share: operators, the way they vary, and children in broods or one by one."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Unpack

from evolution.generational import Generational, Sizes
from evolution.operators import Brood, Operator, breed, make_variation, operators_of, sample_new
from evolution.strategy import Evaluation, Genome, Record, Space, check_positive

Attempt = list[tuple[Operator, Sequence[Genome]]]


class Variations(Sizes, total=False):
    """Further options of an evolutionary strategy."""

    mutation_rate: float
    variation: str
    draws: int
    patience: int


class Evolving(Generational):
    """A population that breeds: a generation at once, or steadily, a child as soon as a worker is free.

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
        self._known: set[Genome] | None = None  # of `ask_one`: all that were asked

    @abstractmethod
    def _parents(self, operator: Operator) -> list[Genome]:
        """As many as the operator takes, from the population, which is not empty."""

    def _attempt(self) -> Attempt:
        """What one attempt tries: here a child by every operator."""
        return [(operator, self._parents(operator)) for operator in self.operators]

    def _breed(self, taken: set[Genome]) -> Brood:
        return self._bear(self.children, taken, self._attempt)

    def _bear(self, wanted: int, taken: set[Genome], attempt: Callable[[], Attempt]) -> Brood:
        return breed(attempt, self.variation, taken, self.rng, wanted=wanted, max_attempts=self.max_attempts)

    # Steady state: asked as soon as a worker is free, no generation is waited for

    @property
    def per_generation(self) -> int:
        """How many genomes each generation after the first has."""
        return self.children

    @property
    def total(self) -> int:
        """How many genomes are scored in all."""
        return self.population_size + self.iterations * self.per_generation

    @property
    def told(self) -> int:
        """How many of them were told."""
        return len(self._scored.seen)

    def in_flight(self) -> list[Genome]:
        """The genomes that were asked and not yet told."""
        return list(self._asked)

    def ask_one(self) -> Genome | None:
        """One more genome, whatever is still in flight; None when all were asked, or no new one is found."""
        if self._known is None:
            self._known = self._scored.seen | self._asked.keys()
        known = self._known  # the child is added by those who make it
        if len(known) >= self.total:
            return None
        if len(known) < self.population_size or not self.population:
            brood = sample_new(self.space, 1, known, self.rng, max_attempts=self.max_attempts)
        else:
            brood = self._bear_one(known)
        self._asked.update(brood.children)
        return next(iter(brood.children), None)

    def tell_one(self, evaluation: Evaluation) -> bool:
        """Take in one evaluation. True where it completes a generation's number of them and `record` is new."""
        del self._asked[evaluation.genome]
        self._scored.add([evaluation.genome])
        newcomers = [self._individual(evaluation)] if evaluation.ok else []
        self._hall.update(newcomers)
        self.population = self._select(newcomers)
        self._bred["failed"] = self._bred.get("failed", 0) + (not evaluation.ok)
        complete = self.told == self.population_size + self.generation * self.per_generation
        if complete:
            count = self.per_generation if self.generation else self.population_size
            self.record = {"generation": self.generation, "children": count, **self._bred, **self._summary()}
            self.generation, self._bred = self.generation + 1, {}
        return complete

    def load_state_dict(self, state: Record) -> None:
        """Raises StrategyError if the state is another strategy's."""
        super().load_state_dict(state)
        self._known = None

    def _bear_one(self, taken: set[Genome]) -> Brood:
        """A child by one operator, each as likely as another; an attempt with all would leave it to the first."""
        return self._bear(1, taken, self._attempt_one)

    def _attempt_one(self) -> Attempt:
        operator = self.operators[self.rng.integers(len(self.operators))]
        return [(operator, self._parents(operator))]
