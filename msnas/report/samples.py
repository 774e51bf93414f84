"""What a controller drew: the reward over its samples, and how many of them were new ("NAS-FPN", Fig. 5)."""

from collections.abc import Sequence

from evolution.strategy import Evaluation, Genome
from msnas.report.run_data import Record


def genomes_drawn(generations: Sequence[Record], evaluations: Sequence[Evaluation]) -> list[Genome]:
    """All genomes in the order they were drawn, repeated where a policy drew them again; else as they were scored."""
    drawn: dict[int, list[Genome]] = {}
    for one in evaluations:
        drawn.setdefault(one.generation, []).append(one.genome)
    drawn |= {record["generation"]: [*map(tuple, record["drawn"])] for record in generations if "drawn" in record}
    return [genome for generation in sorted(drawn) for genome in drawn[generation]]


def samples_of(generations: Sequence[Record], evaluations: Sequence[Evaluation]) -> Record:
    """`rows`, one a generation, and `rewards`, one a scored architecture; {} for a strategy that draws from no policy.

    A row counts from the beginning of the search: `total` samples and `unique` ones, those scored. `mean` and `spread`
    are of the generation's samples, an architecture that was drawn again counted again. evaluations: one for each
    architecture. A reward stands at `sample`, evenly spread over the samples of its generation: which sample it was
    exactly is not recorded.
    """
    if not any("reward" in record for record in generations):
        return {}
    rows: list[Record] = []
    rewards: list[Record] = []
    total = unique = 0
    for record in generations:
        born = [e for e in evaluations if e.generation == record["generation"]]
        drawn = record["attempts"]
        places = (total + (number + 0.5) * drawn / len(born) for number in range(len(born)))
        rewards += [
            {"sample": place, "reward": one.score[0], "generation": one.generation}
            for place, one in zip(places, born, strict=True)
            if one.ok
        ]
        total, unique = total + drawn, unique + record["children"]
        known = {"mean": record.get("reward"), "spread": record.get("reward_spread")}
        rows.append({"generation": record["generation"], "total": total, "unique": unique, "drawn": drawn, **known})
    return {"rows": rows, "rewards": rewards}
