"""What each generation of a search left or drew: the best so far, and which choices they made (MSNAS Fig. 3)."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from evolution.strategy import OK, Evaluation
from msnas.report.run_data import Record, RunData
from msnas.report.spread import deviation, mean, standard_error

SAMPLING = ("RandomSearch", "PredictorSearch", "Controller")  # strategies that breed from no population


def _population_size(run: RunData) -> int:
    size = run.setup.strategy.options.get("population_size")
    return int(size) if size else sum(e.generation == 0 for e in run.evaluations) or 1


def _is_sampled(run: RunData) -> bool:
    """Whether the strategy draws every generation anew and breeds from nobody."""
    target = run.setup.strategy.target
    return target.rpartition(".")[2] in SAMPLING


def _survivors(run: RunData, evaluations: Sequence[Evaluation]) -> Iterable[tuple[int, list[Evaluation]]]:
    """For every generation, the best P scored so far: what Algorithm 1 goes on with (line 14).

    Of a strategy that keeps none, the generation's own candidates instead.
    """
    if not evaluations:
        return
    size, sampled = _population_size(run), _is_sampled(run)
    for generation in range(1 + max(e.generation for e in evaluations)):
        if sampled:
            yield generation, _ranked(e for e in evaluations if e.generation == generation)
        else:
            yield generation, _ranked(e for e in evaluations if e.generation <= generation)[:size]


def _ranked(evaluations: Iterable[Evaluation]) -> list[Evaluation]:
    """Those that did not fail, best first."""
    return sorted((e for e in evaluations if e.ok), key=lambda e: (e.rung, e.score), reverse=True)


def best_so_far(run: RunData, evaluations: Sequence[Evaluation]) -> list[Record]:
    """Best so far, mean and standard deviation of the survivors, as MSNAS Fig. 3, and the children beside them.

    sampled: the strategy keeps no survivors; `mean`, `spread`, `se` and `survivors` are of the generation alone.
    """
    rows: list[Record] = []
    best: list[Evaluation] = []
    for generation, survivors in _survivors(run, evaluations):
        best = _ranked([*best, *survivors])[:1]
        aps = [e.score[0] for e in survivors if e.rung == survivors[0].rung]  # others' scores are of another kind
        born = [e for e in evaluations if e.generation == generation]
        rows.append(
            {
                "generation": generation,
                "best": best[0].score[0] if best else math.nan,
                "mean": mean(aps),
                "spread": deviation(aps),
                "se": standard_error(aps),
                "survivors": len(aps),
                "sampled": _is_sampled(run),
                "children": len(born),
                "failed": sum(e.status != OK for e in born),
            }
        )
    return rows


def choices(run: RunData, evaluations: Sequence[Evaluation], space: Any) -> list[Record]:
    """For every gene, how many survivors (or candidates, where none survive) of each generation chose each value."""
    counts: list[list[list[int]]] = [[] for _ in space.cardinalities]
    for _, survivors in _survivors(run, evaluations):
        for position, values in enumerate(space.cardinalities):
            chosen = [e.genome[position] for e in survivors]
            counts[position].append([chosen.count(value) for value in range(values)])
    names = {
        position: (section, index + 1)
        for section, genes in space.sections.items()
        for index, position in enumerate(range(*genes.indices(len(counts))))
    }
    return [
        {"section": names[i][0], "number": names[i][1], **_values(run, names[i][0], values), "counts": counts[i]}
        for i, values in enumerate(space.cardinalities)
    ]


def _values(run: RunData, section: str, cardinality: int) -> Record:
    """What a gene and its values are called, and how they are coloured: by block stride, or as a sequence."""
    gene, values, strides = run.setup.family.gene(section, cardinality)
    return {"gene": gene, "values": values, "strides": strides}
