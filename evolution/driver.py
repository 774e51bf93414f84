"""The search itself: ask, look up or evaluate, store, tell, commit; in the end score the best again.

Everything that was finished is in the history, so a search that was killed at any instant goes on from there.
"""

import logging
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

from evolution.errors import StrategyError
from evolution.history import MAX_ATTEMPTS, History
from evolution.strategy import FAILED, Evaluation, Genome, Record, Strategy, check_natural, check_positive

log = logging.getLogger(__name__)

RESCORED = "rescored"  # the origin of the finalists' later scores


class Job(NamedTuple):
    """One candidate to score: replicate 0 for the search, 1, 2, ... for scoring it again on other batches."""

    genome: Genome
    replicate: int
    rung: int = 0  # of successive halving


Evaluate = Callable[..., Evaluation]
"""Takes a genome and a replicate; where halving wants more than the lowest rung, also `rung=`."""
EvaluateMany = Callable[[Iterable[Job]], Iterable[Evaluation]]
"""Scores jobs and gives each result as it finishes, in any order. A candidate's failure is a result too."""


@dataclass(frozen=True)
class Guarded:
    """Scores one job; a candidate that raises becomes a failed evaluation with its reason. Can be pickled."""

    evaluate: Evaluate

    def __call__(self, job: Job) -> Evaluation:
        try:
            return self.evaluate(job.genome, job.replicate, **({"rung": job.rung} if job.rung else {}))
        except Exception as error:  # also MemoryError and CUDA's out-of-memory; Ctrl-C passes
            log.warning("Candidate %s failed.", job.genome, exc_info=True)
            reason = f"{type(error).__name__}: {error}"
            return Evaluation(**job._asdict(), status=FAILED, reason=reason)


def evaluate_with(evaluate: Evaluate, map: Callable[..., Iterable[Any]] = map) -> EvaluateMany:
    """An engine out of any `map`: Python's own, a pool's `imap_unordered`, DEAP's `toolbox.map`.

    One that gives its results lazily has each stored as it finishes.
    """
    return partial(map, Guarded(evaluate))


@dataclass(frozen=True)
class Finalist:
    """One of the best, with the score it was selected by and its scores on other batches."""

    selected: Evaluation
    again: tuple[Evaluation, ...] = ()

    @property
    def genome(self) -> Genome:
        return self.selected.genome

    @property
    def mean(self) -> float:
        """The AP to compare by: the mean of the scores made again, free of the luck that selected it."""
        return statistics.fmean(self._scores()) if self.again else self.selected.score[0]

    @property
    def standard_error(self) -> float | None:
        """Of `mean`; None where fewer than two scores were made again."""
        scores = self._scores()
        return statistics.stdev(scores) / math.sqrt(len(scores)) if len(scores) > 1 else None

    @property
    def image_error(self) -> float | None:
        """The standard error of `mean` over the scored images; None where no draws of them were kept."""
        return _deviation(self._draws())

    def image_error_beside(self, other: "Finalist") -> float | None:
        """That of the difference of two means, both on the same draws."""
        return _deviation([own - its for own, its in zip(self._draws(), other._draws(), strict=False)])

    def _scores(self) -> list[float]:
        return [evaluation.score[0] for evaluation in self.again]

    def _draws(self) -> list[float]:
        """The mean of the scores made again, on each draw of the images."""
        kept = [evaluation.draws for evaluation in self.again if evaluation.draws]
        return [statistics.fmean(draw) for draw in zip(*kept, strict=True)]


def _deviation(values: Sequence[float]) -> float | None:
    return statistics.stdev(values) if len(values) > 1 else None


@dataclass(frozen=True)
class SearchResult:
    """What a search found. `winners` are the best of `finalists`, both best first."""

    winners: tuple[Finalist, ...]
    finalists: tuple[Finalist, ...]
    generations: tuple[Record, ...]
    evaluated: int  # evaluations in the history, failed attempts and replicates included
    failed: int
    seconds: float  # by the clock, all runs together


OnGeneration = Callable[[Record], None] | None
Drive = Callable[[Any, "Scorer", History, OnGeneration], None]


def run_search(
    strategy: Strategy,
    evaluate_many: EvaluateMany,
    history: History,
    *,
    drive: Drive | None = None,
    top_k: int = 5,
    finalists: int = 8,
    replicates: int = 3,
    give_up_after: int = 20,
    on_evaluation: Callable[[Evaluation, int, int], None] | None = None,
    on_generation: OnGeneration = None,
) -> SearchResult:
    """Search to the end, on from where `history` stands; the result is that of a search never interrupted.

    drive: takes the strategy to its end: `by_generations`, the default, or `by_halving(rungs)`.
    finalists: how many of the best are scored again, `replicates` times each; the means choose the winners.
    give_up_after: candidates failed in a row after which the search stops with a StrategyError; it also stops when a
        generation ends and nothing has succeeded yet.
    on_evaluation: called with each new evaluation, its number and how many its generation has.
    on_generation: called with each record once it is committed.
    """
    check_positive(top_k=top_k, finalists=finalists, give_up_after=give_up_after)
    check_natural("replicates", replicates)
    scorer = Scorer(evaluate_many, history, give_up_after, on_evaluation)
    state = history.state()
    if state is not None:
        strategy.load_state_dict(state)
    (drive or by_generations)(strategy, scorer, history, on_generation)
    return _conclude(strategy, scorer, history, top_k, max(finalists, top_k), replicates)


def score_once(
    scorer: "Scorer", genomes: Sequence[Genome], stamp: Mapping[Genome, tuple[int, str]]
) -> list[Evaluation]:
    """A generation scored as usual."""
    return scorer.score([Job(genome, 0) for genome in genomes], stamp)


def by_generations(
    strategy: Strategy,
    scorer: "Scorer",
    history: History,
    on_generation: OnGeneration,
    *,
    score: Callable[..., list[Evaluation]] = score_once,
) -> None:
    """Ask for a generation, wait for all of it, tell, and again. score: how a generation is scored."""
    while genomes := strategy.ask():
        stamp = {genome: (strategy.generation, strategy.origin(genome)) for genome in genomes}
        strategy.tell(score(scorer, genomes, stamp))
        commit(strategy, history, on_generation)
    if strategy.record and strategy.record["generation"] > history.last_generation():
        commit(strategy, history, on_generation)  # the search ended before its last generation: say why


def commit(strategy: Strategy, history: History, on_generation: OnGeneration) -> None:
    """Store a generation's record and the strategy's state, then say so."""
    history.commit(strategy.record, strategy.state_dict())
    if on_generation is not None:
        on_generation(strategy.record)


def _conclude(
    strategy: Strategy, scorer: "Scorer", history: History, top_k: int, finalists: int, replicates: int
) -> SearchResult:
    """Score the best again, order them by the mean and put the result together."""
    ranked = [Finalist(evaluation) for evaluation in strategy.best(finalists)]
    if replicates and ranked:
        ranked = _score_again(ranked, scorer, replicates)
    by_mean = [replace(one.selected, score=(one.mean, *one.selected.score[1:])) for one in ranked]
    finalist = {one.genome: one for one in ranked}
    evaluations = history.evaluations()
    return SearchResult(
        winners=tuple(finalist[chosen.genome] for chosen in strategy.choose(by_mean, top_k)),
        finalists=tuple(finalist[chosen.genome] for chosen in strategy.choose(by_mean, len(by_mean))),
        generations=tuple(history.generations()),
        evaluated=len(evaluations),
        failed=sum(not evaluation.ok for evaluation in evaluations),
        seconds=history.elapsed(),
    )


def _score_again(ranked: list[Finalist], scorer: "Scorer", replicates: int) -> list[Finalist]:
    """Every finalist on `replicates` other draws of batches; one that fails every time drops out."""
    replicated = range(1, replicates + 1)
    jobs = [Job(one.genome, replicate, one.selected.rung) for one in ranked for replicate in replicated]
    stamp = {one.genome: (one.selected.generation, RESCORED) for one in ranked}
    again: dict[Genome, list[Evaluation]] = {one.genome: [] for one in ranked}
    for evaluation in scorer.score(jobs, stamp):
        if evaluation.ok:
            again[evaluation.genome].append(evaluation)
    left = [Finalist(one.selected, tuple(again[one.genome])) for one in ranked if again[one.genome]]
    if not left:
        raise StrategyError(f"All {len(ranked)} finalists failed when they were scored again: see the history.")
    return left


class Scorer:
    """Looks up what is finished, has the rest evaluated, and stores each result as it finishes."""

    def __init__(
        self,
        evaluate_many: EvaluateMany,
        history: History,
        give_up_after: int,
        on_evaluation: Callable[[Evaluation, int, int], None] | None,
    ) -> None:
        self.evaluate_many = evaluate_many
        self.history = history
        self.give_up_after = give_up_after
        self.on_evaluation = on_evaluation
        self._failures_in_a_row = 0

    def score(self, jobs: Sequence[Job], stamp: Mapping[Genome, tuple[int, str]]) -> list[Evaluation]:
        """A finished evaluation for each job, in their order. `stamp`: a genome's generation and origin."""
        for _ in range(MAX_ATTEMPTS):  # the second time only those that failed the first
            missing = [job for job in jobs if not self.history.is_finished(*job)]
            waiting = set(missing)
            for evaluation in self.evaluate_many(missing) if missing else ():
                job = Job(evaluation.genome, evaluation.replicate, evaluation.rung)
                assert job in waiting, f"the engine gave {job}, which it was not asked for or gave before"
                waiting.remove(job)
                generation, origin = stamp[job.genome]
                evaluation = replace(evaluation, generation=generation, origin=origin)
                self.store(evaluation, len(jobs) - len(waiting), len(jobs))
            assert not waiting, f"the engine lost {len(waiting)} of {len(missing)} jobs"
        finished = [found for job in jobs if (found := self.history.find(*job)) is not None]
        assert len(finished) == len(jobs)
        self.check_success()
        return finished

    def check_success(self) -> None:
        """Raise StrategyError where candidates were scored and every one failed."""
        if self.history.succeeded() == 0 and (failed := self.history.evaluations()):
            raise StrategyError(
                f"Every candidate failed, all {len({one.genome for one in failed})} of them; the last: "
                f"{failed[-1].reason} Remove the cause and {self.history.path}, then start again."
            )

    def store(self, evaluation: Evaluation, number: int, total: int) -> None:
        """Store one evaluation and say so; raises StrategyError when too many failed in a row."""
        self.history.append(evaluation)
        if self.on_evaluation is not None:
            self.on_evaluation(evaluation, number, total)
        if evaluation.ok:
            self._failures_in_a_row = 0
        elif (
            self.history.attempts(evaluation.genome, evaluation.replicate, evaluation.rung) == 1
        ):  # second ones often fail too
            self._failures_in_a_row += 1
        if self._failures_in_a_row >= self.give_up_after:
            raise StrategyError(
                f"The last {self._failures_in_a_row} candidates all failed, so the search stops; the last: "
                f"{evaluation.reason} Remove the cause, then start again: what succeeded is kept."
            )
