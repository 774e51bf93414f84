"""Search without generations to wait for: a worker that is free gets the next genome at once.

For candidates that differ in cost. With one worker the search is as repeatable as any; with several, what is asked
next depends on who finishes first, so neither the seed nor a resume promises the same winners. Nothing is lost.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Protocol

from evolution.history import History
from evolution.search import Job, Scorer, SearchResult, check_options, conclude
from evolution.strategy import Evaluation, Genome, Record, Strategy

EvaluateStream = Callable[[Iterable[Job]], Iterable[Evaluation]]
"""Scores jobs side by side, taking the next from the iterable only when a worker is free for it."""


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


def run_steady_state(
    strategy: SteadyStrategy,
    evaluate_stream: EvaluateStream,
    history: History,
    *,
    top_k: int = 5,
    finalists: int = 8,
    replicates: int = 3,
    give_up_after: int = 20,
    on_evaluation: Callable[[Evaluation, int, int], None] | None = None,
    on_generation: Callable[[Record], None] | None = None,
) -> SearchResult:
    """Search to the end, on from where `history` stands; the options are those of `run_search`."""
    check_options(top_k=top_k, finalists=finalists, replicates=replicates, give_up_after=give_up_after)
    scorer = Scorer(evaluate_stream, history, give_up_after, on_evaluation)
    state = history.state()
    if state is not None:
        strategy.load_state_dict(state)
    flow = _Flow(strategy, scorer, history, on_generation)
    flow.run(evaluate_stream)
    scorer.check_success()
    return conclude(strategy, scorer, history, top_k, max(finalists, top_k), replicates)


class _Flow:
    """The jobs that workers take, and what becomes of their results."""

    def __init__(
        self,
        strategy: SteadyStrategy,
        scorer: Scorer,
        history: History,
        on_generation: Callable[[Record], None] | None,
    ) -> None:
        self.strategy = strategy
        self.scorer = scorer
        self.history = history
        self.on_generation = on_generation
        self._again = deque(strategy.in_flight())  # asked before a kill; later also those that failed once

    def run(self, evaluate_stream: EvaluateStream) -> None:
        """Until everything that was asked is told."""
        while True:
            for evaluation in evaluate_stream(self._jobs()):
                self._take(evaluation)
            if not self._again:  # the last candidates may have failed after the workers had no more to take
                return

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
        self.history.commit(self.strategy.record if is_new else None, self.strategy.state_dict())
        if is_new and self.on_generation is not None:
            self.on_generation(self.strategy.record)
