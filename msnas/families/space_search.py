"""A search in a single space: a strategy asks, candidates are trained a little and scored, the best scored again."""

from evolution.driver import Drive, Finalist, by_generations, run_search
from evolution.halving import by_halving
from evolution.history import History
from evolution.strategy import Strategy
from msnas.data.opening import Splits
from msnas.families.candidate_family import CandidateFamily
from msnas.families.candidates import evaluate_many, rungs_of
from msnas.families.family import ScoredNetwork, SearchOutcome, SearchProgress
from msnas.families.front import front_of
from msnas.families.search_settings import SearchSettings
from msnas.runs.folder import HISTORY
from msnas.seeds import derive


def search_space(
    family: CandidateFamily, settings: SearchSettings, splits: Splits, progress: SearchProgress
) -> SearchOutcome:
    """Search `settings.space`, on from where the history in `settings.folder` stands."""
    space = settings.space
    strategy: Strategy = settings.strategy(space=space, seed=derive(settings.seed, "search", "strategy"))
    with (
        History(settings.folder / HISTORY, fingerprint=settings.fingerprint) as history,
        evaluate_many(family, settings, splits) as engine,
    ):
        progress.known(len(history.evaluations()))
        result = run_search(
            strategy,
            engine,
            history,
            drive=_drive(family, settings),
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


def _drive(family: CandidateFamily, settings: SearchSettings) -> Drive:
    """How the strategy is taken to its end."""
    rungs = rungs_of(family, settings)
    return by_halving(len(rungs)) if rungs else by_generations
