"""What a search is made with, beside its family: typed, frozen, and picklable, so that any process can work from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msnas.config.blueprint import Blueprint
from msnas.data.settings import DataSettings
from msnas.engine.hardware_options import HardwareOptions
from supernet.space import Budget, SearchSpace


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """space: with the budget bound in. finalists, replicates: the best so many are scored again, so often.

    journal: of the histories, see `History`. rungs: with `fidelity=halving` the share of a candidate's iterations in
    each rung, else (). weights: what `msnas train` left. folder: gets the histories. fingerprint: what a history's
    scores depend on.
    """

    seed: int
    space: SearchSpace
    budget: Budget | None
    strategy: Blueprint
    top_k: int
    finalists: int
    replicates: int
    journal: str
    rungs: tuple[float, ...]
    data: DataSettings
    hardware: HardwareOptions
    weights: Path
    folder: Path
    fingerprint: Mapping[str, Any]
