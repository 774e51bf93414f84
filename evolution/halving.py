"""Successive halving within a generation: all candidates are scored cheaply, the better half again at more cost.

Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization", arXiv 1502.07943. A
score says something beside those of its own rung only; whoever goes on ranks above whoever stopped.
"""

from collections.abc import Mapping, Sequence
from functools import partial

from evolution.driver import Drive, Job, OnGeneration, Scorer, by_generations
from evolution.errors import StrategyError
from evolution.history import History
from evolution.strategy import Evaluation, Genome, Strategy, check_positive


def by_halving(rungs: int) -> Drive:
    """For `run_search`: generation by generation, each of them in so many rungs."""
    check_positive(rungs=rungs)
    return partial(_by_rungs, rungs)


def _by_rungs(rungs: int, strategy: Strategy, scorer: Scorer, history: History, on_generation: OnGeneration) -> None:
    if not getattr(strategy, "ranks_rungs", False):
        raise StrategyError(
            f"Halving leaves scores of different rungs, which {type(strategy).__name__} would take for one kind; "
            f"take a strategy that only ranks candidates, such as algorithm1, regularized or random."
        )
    by_generations(strategy, scorer, history, on_generation, score=partial(score_by_rungs, rungs))


def score_by_rungs(
    rungs: int, scorer: Scorer, genomes: Sequence[Genome], stamp: Mapping[Genome, tuple[int, str]]
) -> list[Evaluation]:
    """The evaluation of each genome on the highest rung that it reached, in their order."""
    reached: dict[Genome, Evaluation] = {}
    climbing = list(genomes)
    for rung in range(rungs):
        scored = scorer.score([Job(genome, 0, rung) for genome in climbing], stamp)
        reached.update((evaluation.genome, evaluation) for evaluation in scored)
        climbing = better_half(scored)
    return [reached[genome] for genome in genomes]


def better_half(evaluations: Sequence[Evaluation]) -> list[Genome]:
    """The genomes of the better half, rounded up, of those that did not fail; of equals those that came first."""
    ranked = sorted((one for one in evaluations if one.ok), key=lambda one: one.score, reverse=True)
    return [one.genome for one in ranked[: (len(ranked) + 1) // 2]]
