"""A family whose search scores whole detectors, one candidate after another, in a single space."""

from typing import TYPE_CHECKING

from evolution.driver import by_generations
from evolution.halving import by_halving
from msnas.engine.hardware_options import refuse_fp16
from msnas.families.candidate_family import CandidateFamily
from msnas.families.family import SearchOutcome, SearchProgress
from msnas.families.front import check_objectives
from msnas.families.search_settings import SearchSettings

if TYPE_CHECKING:
    from msnas.data.opening import Splits


class OneSpaceFamily(CandidateFamily):
    """Its search."""

    def check_search(self, settings: SearchSettings) -> None:
        from msnas.families.search_processes import rungs_of  # torch

        if self.recipe.finetunes:
            refuse_fp16(settings.hardware.precision)
        check_objectives(settings.strategy, settings.space)
        rungs_of(self, settings)
        settings.strategy(space=settings.space, seed=0)

    def search(self, settings: SearchSettings, splits: "Splits", progress: SearchProgress) -> SearchOutcome:
        from msnas.families.search_processes import evaluate_many, rungs_of  # torch
        from msnas.families.space_search import search_space

        rungs = rungs_of(self, settings)
        drive = by_halving(len(rungs)) if rungs else by_generations
        return search_space(settings, evaluate_many(self, settings, splits), progress, drive=drive)
