"""Search strategies behind one ask and tell, and the history that makes a search survive anything."""

from importlib import import_module
from typing import Any

_HOME = {
    "Evaluation": "evolution.strategy",
    "Finalist": "evolution.driver",
    "Genome": "evolution.strategy",
    "History": "evolution.history",
    "HistoryView": "evolution.history",
    "Job": "evolution.driver",
    "MultiScaleEvolution": "evolution.multi_scale",
    "NSGA2": "evolution.nsga2",
    "NeighbourSpace": "evolution.strategy",
    "PredictorSearch": "evolution.predictor",
    "RandomSearch": "evolution.random_search",
    "RegularizedEvolution": "evolution.regularized",
    "SearchResult": "evolution.driver",
    "Space": "evolution.strategy",
    "Strategy": "evolution.strategy",
    "StrategyError": "evolution.errors",
    "TableSpace": "evolution.table_space",
    "by_halving": "evolution.halving",
    "evaluate_with": "evolution.driver",
    "run_search": "evolution.driver",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """Import a public name's module when the name is first used (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'evolution' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
