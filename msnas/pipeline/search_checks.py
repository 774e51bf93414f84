"""What a search refuses, told before the training that it would be too late after."""

from msnas.families.search_settings import SearchSettings
from msnas.pipeline.random_beside import check_random_search
from msnas.runs.folder import SEARCH
from msnas.setup.open_run import OpenRun
from msnas.setup.setup import Setup


def check_before_pretraining(run: OpenRun) -> None:
    """Raise what the search will raise, where its first part is the training of a backbone.

    A supernet serves several searches; their options may come later.
    """
    if run.setup.family_class.pretraining == "backbone":
        check_search(run.setup, run.setup.search(weights=run.weights, folder=run.folder / SEARCH))


def check_search(setup: Setup, settings: SearchSettings) -> None:
    """Raise ConfigError for options that the family's search cannot keep."""
    setup.family.check_search(settings)
    if setup.random_search:
        check_random_search(setup.family)
