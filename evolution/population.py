"""Evaluations as the individuals of DEAP, whose selection, halls of fame and statistics we use."""

import base64
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
from deap import base, tools

from evolution.strategy import Evaluation, Genome, Record


class Fitness(base.Fitness):  # type: ignore[misc]  # DEAP has no types
    """Any number of objectives, all to be maximised; DEAP itself wants their number fixed by the class."""

    weights: tuple[float, ...] = ()
    crowding_dist: float = 0.0  # set by NSGA-II's selection

    def __init__(self, values: Sequence[float] = ()) -> None:
        self.weights = (1.0,) * len(values)
        super().__init__(values)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Fitness":
        copy = Fitness(self.values)
        copy.crowding_dist = self.crowding_dist
        return copy


class Individual:
    """An evaluation that did not fail, with its objectives: its rung, then its score, unless others are given."""

    def __init__(self, evaluation: Evaluation, objectives: Sequence[float] | None = None) -> None:
        assert evaluation.ok
        self.evaluation = evaluation
        self.fitness = Fitness((evaluation.rung, *evaluation.score) if objectives is None else objectives)

    @property
    def genome(self) -> Genome:
        return self.evaluation.genome

    def __deepcopy__(self, memo: dict[int, Any]) -> "Individual":
        copy = Individual(self.evaluation, self.fitness.values)  # the evaluation is immutable: shared, not copied
        copy.fitness.crowding_dist = self.fitness.crowding_dist
        return copy


class GenomeLog:
    """Genomes in the order they came, none twice; as text a few bytes a gene, since a long search saves it often."""

    def __init__(self) -> None:
        self.seen: set[Genome] = set()
        self._bytes = bytearray()
        self._genes = 0

    def add(self, genomes: Collection[Genome]) -> None:
        """New ones, all of the same length, with genes below 65,536."""
        if genomes:
            self.seen.update(genomes)
            rows = np.array(list(genomes), dtype="<u2")
            self._bytes += rows.tobytes()
            self._genes = rows.shape[1]

    def dump(self) -> list[int | str]:
        """As JSON values."""
        return [self._genes, base64.b64encode(self._bytes).decode()]

    @classmethod
    def load(cls, dumped: Sequence[Any]) -> "GenomeLog":
        """The log that was dumped."""
        log = cls()
        genes, text = dumped
        if genes:
            rows = np.frombuffer(base64.b64decode(text), dtype="<u2").reshape(-1, genes)
            log.add([tuple(row) for row in rows.tolist()])
        return log


def same_genome(first: Individual, second: Individual) -> bool:
    """What DEAP's halls of fame call similar."""
    return first.genome == second.genome


def refill(hall: Any, individuals: Sequence[Individual]) -> None:
    """Put saved individuals, best first, back into a DEAP hall of fame in the same order.

    A hall puts a newcomer before its equals, so the last must go in first; ties would change places.
    """
    hall.clear()
    hall.update(list(reversed(individuals)))


def summary(individuals: Sequence[Individual]) -> Record:
    """Best, mean and spread (standard deviation) of the AP, as in the paper's Figure 3; None for nobody.

    Of those on the highest rung that anybody reached: other rungs' scores are of another kind.
    """
    if not individuals:
        return {"best": None, "mean": None, "spread": None}
    highest = max(individual.evaluation.rung for individual in individuals)
    individuals = [individual for individual in individuals if individual.evaluation.rung == highest]
    statistics = tools.Statistics(key=lambda individual: individual.evaluation.score[0])
    statistics.register("best", np.max)
    statistics.register("mean", np.mean)
    statistics.register("spread", np.std)
    return {name: float(value) for name, value in statistics.compile(individuals).items()}


def succeeded(evaluations: Iterable[Evaluation]) -> list[Evaluation]:
    return [evaluation for evaluation in evaluations if evaluation.ok]
