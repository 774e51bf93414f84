"""NSGA-II: the AP against what the network costs; the answer is the whole front, not one winner.

Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II", 2002. Sorting, crowding distance
and the Pareto front are DEAP's, the hypervolume is moocore's.
"""

from collections.abc import Iterable, Sequence
from typing import Unpack

import moocore
import numpy as np
from deap import tools

from evolution.errors import StrategyError
from evolution.evolving import Evolving, Variations
from evolution.operators import Operator
from evolution.population import Individual, refill, same_genome, succeeded
from evolution.strategy import Evaluation, Genome, Record, Space


class NSGA2(Evolving):
    """Evolution towards the front of high AP and low `minimise`, names of entries of an evaluation's `cost`.

    reference: the point that the hypervolume is measured from, AP first, then the costs; None: AP 0 (or the
    lowest, if that is negative) and the highest cost of each kind among the first evaluations.
    """

    ranks_rungs = False

    def __init__(
        self,
        space: Space,
        *,
        minimise: Sequence[str] = ("macs",),
        reference: Sequence[float] | None = None,
        **options: Unpack[Variations],
    ) -> None:
        super().__init__(space, **options)
        if isinstance(minimise, str) or not minimise:
            raise StrategyError(f"`minimise` is a list of names of costs, such as [macs], but got {minimise!r}.")
        if reference is not None and len(reference) != 1 + len(minimise):
            raise StrategyError(
                f"`reference` has an AP and one number for each of {list(minimise)}, but got {reference}."
            )
        self.minimise = tuple(minimise)
        self.reference = None if reference is None else self._to_maximise(reference[0], reference[1:])
        self._front = tools.ParetoFront(similar=same_genome)

    def front(self) -> list[Evaluation]:
        """Everything told so far that nothing else dominates, highest AP first."""
        return [individual.evaluation for individual in self._front]

    def choose(self, evaluations: Iterable[Evaluation], k: int) -> list[Evaluation]:
        """The best `k`: the first fronts, of the one with too many the least crowded; highest AP first."""
        chosen = tools.selNSGA2([self._individual(evaluation) for evaluation in succeeded(evaluations)], k)
        chosen.sort(key=lambda individual: individual.fitness, reverse=True)
        return [individual.evaluation for individual in chosen]

    def best(self, k: int) -> list[Evaluation]:
        return self.choose(self.front(), k)

    def _individual(self, evaluation: Evaluation) -> Individual:
        missing = [name for name in self.minimise if name not in evaluation.cost]
        if missing:
            raise StrategyError(
                f"Every name of `minimise` is a cost of the evaluations, which are "
                f"{', '.join(evaluation.cost) or 'none'}, but got {', '.join(missing)}."
            )
        costs = [evaluation.cost[name] for name in self.minimise]
        return Individual(evaluation, self._to_maximise(evaluation.score[0], costs))

    @staticmethod
    def _to_maximise(score: float, costs: Sequence[float]) -> tuple[float, ...]:
        """The only place where costs change their sign: from here on more is better in every objective."""
        return (score, *(-cost for cost in costs))

    def _parents(self, operator: Operator) -> list[Genome]:
        return [self._tournament_winner() for _ in range(operator.parents)]

    def _tournament_winner(self) -> Genome:
        """The better of two by dominance, then the less crowded (DEAP's draws from a global generator)."""
        first, second = (self.population[int(i)] for i in self.rng.integers(len(self.population), size=2))
        if first.fitness.dominates(second.fitness):
            return first.genome
        if second.fitness.dominates(first.fitness):
            return second.genome
        crowded = first.fitness.crowding_dist < second.fitness.crowding_dist
        return (second if crowded else first).genome

    def _select(self, newcomers: list[Individual]) -> list[Individual]:
        self._front.update(newcomers)
        selected: list[Individual] = tools.selNSGA2(self.population + newcomers, self.population_size)
        return selected

    def _summary(self) -> Record:
        """Also the front's size and its hypervolume, in units of AP times the costs' units."""
        record = {**super()._summary(), "front": len(self._front), "hypervolume": 0.0}
        if self.population and self.reference is None:
            worst = np.min([individual.fitness.values for individual in self.population], axis=0)
            self.reference = (min(0.0, float(worst[0])), *(float(value) for value in worst[1:]))
        if self.reference is not None and len(self._front):
            points = np.array([individual.fitness.values for individual in self._front])
            record["hypervolume"] = float(moocore.hypervolume(points, ref=self.reference, maximise=True))
        return record

    def state_dict(self) -> Record:
        crowding = [repr(individual.fitness.crowding_dist) for individual in self.population]  # may be infinite
        front = [evaluation.to_dict() for evaluation in self.front()]
        reference = None if self.reference is None else list(self.reference)
        return {**super().state_dict(), "crowding": crowding, "front": front, "reference": reference}

    def load_state_dict(self, state: Record) -> None:
        super().load_state_dict(state)
        for individual, distance in zip(self.population, state["crowding"], strict=True):
            individual.fitness.crowding_dist = float(distance)
        refill(self._front, self._individuals(state["front"]))
        self.reference = None if state["reference"] is None else tuple(state["reference"])
