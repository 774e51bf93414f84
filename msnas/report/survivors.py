"""What each generation of a search left or drew, and which choices these made (MSNAS Fig. 3)."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from evolution.strategy import OK, Evaluation
from msnas.report.run_data import Record, RunData
from msnas.report.spread import deviation, mean, standard_error


def _survivors(run: RunData, evaluations: Sequence[Evaluation]) -> Iterator[tuple[int, list[Evaluation]]]:
    """For every generation, those that the strategy's own record says survived it.

    Of a strategy that breeds from nobody, the generation's own candidates instead.
    """
    last = max((e.generation for e in evaluations), default=-1)
    if _breeds(run):
        known = {e.genome: e for e in evaluations}
        for record in run.generations:
            if record["generation"] <= last:  # a later one found nothing new
                yield record["generation"], [known[tuple(genome)] for genome in record.get("survivors", ())]
    else:
        for generation in range(1 + last):
            yield generation, [e for e in evaluations if e.generation == generation and e.ok]


def _breeds(run: RunData) -> bool:
    return any("survivors" in record for record in run.generations)


def best_so_far(run: RunData, evaluations: Sequence[Evaluation]) -> list[Record]:
    """Best so far, mean and standard deviation of the survivors, as MSNAS Fig. 3, and the children beside them.

    sampled: the strategy breeds from nobody; `mean`, `spread`, `se` and `survivors` are of the generation alone.
    """
    rows: list[Record] = []
    for generation, survivors in _survivors(run, evaluations):
        rung = max((e.rung for e in survivors), default=0)
        aps = [e.score[0] for e in survivors if e.rung == rung]  # others' scores are of another kind
        born = [e for e in evaluations if e.generation == generation]
        told = [e for e in evaluations if e.generation <= generation and e.ok]
        rows.append(
            {
                "generation": generation,
                "best": max(told, key=lambda e: (e.rung, e.score)).score[0] if told else math.nan,
                "mean": mean(aps),
                "spread": deviation(aps),
                "se": standard_error(aps),
                "survivors": len(aps),
                "sampled": not _breeds(run),
                "children": len(born),
                "failed": sum(e.status != OK for e in born),
            }
        )
    return rows


def choices(run: RunData, evaluations: Sequence[Evaluation], space: Any) -> list[Record]:
    """For every gene that is searched, how many survivors (else candidates) of each generation chose each value."""
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
        if i in names  # what is fixed, such as heads, is in no section
    ]


def _values(run: RunData, section: str, cardinality: int) -> Record:
    """What a gene and its values are called, and how they are coloured: by block stride, or as a sequence."""
    gene, values, strides = run.setup.family.gene(section, cardinality)
    return {"gene": gene, "values": values, "strides": strides}
