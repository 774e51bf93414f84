"""Search without generations to wait for: a worker that is free gets the next genome at once.

For candidates that differ in cost. With one worker the search is as repeatable as any; with several, what is asked
next depends on who finishes first, so neither the seed nor a resume promises the same winners. Nothing is lost.
"""

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol, runtime_checkable

from evolution.driver import Heard, Job, Scorer
from evolution.errors import StrategyError
from evolution.history import History
from evolution.strategy import Evaluation, Genome, Record, Strategy

RARELY = 10  # times as long as storing the state takes passes before it is stored again


@runtime_checkable
class SteadyStrategy(Strategy, Protocol):
    """A strategy that can also be asked for one genome while others are in flight."""

    @property
    def total(self) -> int:
        """How many genomes are scored in all."""

    @property
    def told(self) -> int:
        """How many of them were told."""

    def in_flight(self) -> list[Genome]:
        """The genomes that were asked and not yet told."""

    def ask_one(self) -> Genome | None:
        """One more genome; None when all were asked, or no new one is found."""

    def tell_one(self, evaluation: Evaluation) -> bool:
        """Take in one evaluation. True where `record` is new."""


def steadily(strategy: Strategy, scorer: Scorer, history: History, on_generation: Heard) -> None:
    """For `run_search`: take the strategy to its end without a barrier.

    The engine takes a job only when a worker is free for it. A `record` is made whenever a generation's number of
    candidates is complete. Raises StrategyError for a strategy that makes whole generations only.
    """
    if not isinstance(strategy, SteadyStrategy):
        raise StrategyError(
            f"A search without generations needs a strategy that breeds one child at a time, such as algorithm1 or "
            f"regularized, but {type(strategy).__name__} makes whole generations."
        )
    _Flow(strategy, scorer, history, on_generation).run()
    scorer.check_success()


class _Flow:
    """The jobs that workers take, and what becomes of their results."""

    def __init__(self, strategy: SteadyStrategy, scorer: Scorer, history: History, on_generation: Heard) -> None:
        self.strategy = strategy
        self.scorer = scorer
        self.history = history
        self.on_generation = on_generation
        self._again = deque(strategy.in_flight())  # asked before a kill; later also those that failed once
        self._stored, self._took = time.monotonic(), 0.0  # when the state was stored last, and how long it took

    def run(self) -> None:
        """Until everything that was asked is told."""
        while True:
            for evaluation in self.scorer.evaluate_many(self._jobs()):
                self._take(evaluation)
            if not self._again:  # the last candidates may have failed after the workers had no more to take
                return self._store(None)

    def _jobs(self) -> Iterator[Job]:
        while (genome := self._next()) is not None:
            stored = self.history.find(genome, 0)
            if stored is None:
                yield Job(genome, 0)
            else:  # stored just before a kill, which came before the state that knows of it
                self._tell(stored)

    def _next(self) -> Genome | None:
        return self._again.popleft() if self._again else self.strategy.ask_one()

    def _take(self, evaluation: Evaluation) -> None:
        genome = evaluation.genome
        evaluation = replace(evaluation, generation=self.strategy.generation, origin=self.strategy.origin(genome))
        self.scorer.store(evaluation, self.strategy.told + 1, self.strategy.total)
        if self.history.is_finished(genome, 0):
            self._tell(evaluation)
        else:
            self._again.append(genome)

    def _tell(self, evaluation: Evaluation) -> None:
        is_new = self.strategy.tell_one(evaluation)
        if is_new or time.monotonic() - self._stored >= RARELY * self._took:
            self._store(self.strategy.record if is_new else None)
        if is_new and self.on_generation is not None:
            self.on_generation(self.strategy.record)

    def _store(self, record: Record | None) -> None:
        """A long search has a large state. From an older one the same genomes are asked, and found in the history."""
        began = time.monotonic()
        self.history.commit(record, self.strategy.state_dict())
        self._stored = time.monotonic()
        self._took = self._stored - began
