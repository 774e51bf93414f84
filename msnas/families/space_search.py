"""A search in a single space: a strategy asks, candidates are trained a little and scored, the best scored again."""

from contextlib import AbstractContextManager

from evolution.driver import Drive, EvaluateMany, Finalist, by_generations, run_search
from evolution.history import History
from evolution.strategy import Strategy
from msnas.families.family import ScoredNetwork, SearchOutcome, SearchProgress
from msnas.families.front import front_of
from msnas.families.search_settings import SearchSettings
from msnas.runs.folder import HISTORY
from msnas.seeds import derive


def search_space(
    settings: SearchSettings,
    engine: AbstractContextManager[EvaluateMany],
    progress: SearchProgress,
    *,
    drive: Drive = by_generations,
) -> SearchOutcome:
    """Search `settings.space`, on from where the history in `settings.folder` stands.

    engine: scores candidates while it is entered. drive: how the strategy is taken to its end.
    """
    space = settings.space
    strategy: Strategy = settings.strategy(space=space, seed=derive(settings.seed, "search", "strategy"))
    with (
        History(settings.folder / HISTORY, fingerprint=settings.fingerprint, journal=settings.journal) as history,
        engine as evaluate_many,
    ):
        progress.known(len(history.evaluations()))
        result = run_search(
            strategy,
            evaluate_many,
            history,
            drive=drive,
            top_k=settings.top_k,
            finalists=settings.finalists,
            replicates=settings.replicates,
            on_evaluation=progress.evaluation,
            on_generation=progress.generation,
        )
        inside = sum(space.is_valid(evaluation.genome) for evaluation in history.evaluations())

    def scored(finalist: Finalist) -> ScoredNetwork:
        return ScoredNetwork(space.decode(finalist.genome), space.cost(finalist.genome), finalist)

    return SearchOutcome(
        winners=tuple(map(scored, result.winners)),
        finalists=tuple(map(scored, result.finalists)),
        evaluated=result.evaluated,
        failed=result.failed,
        inside_budget=inside,
        seconds=result.seconds,
        front=front_of(strategy, space, result.finalists),
    )
