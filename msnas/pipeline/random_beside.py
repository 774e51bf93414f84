"""Random search beside a search: as many uniform draws from the budget, scored alike; the yardstick of its result."""

from dataclasses import replace

from evolution.history import History
from msnas.config.blueprint import Blueprint
from msnas.data.opening import Splits
from msnas.errors import ConfigError
from msnas.families.family import Baseline, Family, ScoredNetwork, SearchProgress
from msnas.families.one_space_family import OneSpaceFamily
from msnas.families.search_settings import SearchSettings
from msnas.files import read_json
from msnas.runs.folder import BASELINE, HISTORY, RANDOM_SEARCH, RESULT, SEARCH
from msnas.setup.open_run import OpenRun

ROLE = "random_search"


def check_random_search(family: Family) -> None:
    """Raise ConfigError where a search is not one search in one space, so that no number of draws is equal to it."""
    if not isinstance(family, OneSpaceFamily):
        raise ConfigError(
            f"search.random=true needs a search in a single space, but that of {type(family).__name__} is not; "
            "give search.random=false."
        )


def search_at_random(
    settings: SearchSettings, family: Family, splits: Splits, progress: SearchProgress
) -> tuple[ScoredNetwork, ...]:
    """The finalists of as many draws as the search of `settings`, which is over, has scored networks; scored alike.

    The draws begin as those of the search, which has the same seed: what differs is what came after its first
    generation. They are kept in a folder of their own, where an interrupted one goes on.
    """
    with History.read(settings.folder / HISTORY) as history:
        draws = len({evaluation.genome for evaluation in history.evaluations()})
    strategy = Blueprint("evolution.random_search.RandomSearch", {"population_size": draws, "iterations": 0})
    drawn = replace(
        settings,
        strategy=strategy,
        top_k=1,
        folder=settings.folder / RANDOM_SEARCH,
        fingerprint={**settings.fingerprint, "strategy": str(strategy)},
    )
    drawn.folder.mkdir(exist_ok=True)
    progress.part(f"random search, {draws} draws")
    return family.search(drawn, splits, progress).finalists


def best_at_random(run: OpenRun) -> Baseline | None:
    """What random search found, where one stood beside the run's search."""
    found = (read_json(run.folder / SEARCH / RESULT) or {}).get(RANDOM_SEARCH)
    if found is None:
        return None
    family = run.setup.family
    architecture = family.parse(found["architecture"])
    cost = family.cost(architecture)
    return Baseline(f"{BASELINE}random-search", "random search", str(architecture), cost, architecture)
