"""One run as the JSON that its page embeds: every chart, table and sentence is made from this alone.

Numbers are copied from the run folder; what is computed here is a function of them.
"""

import math
from collections.abc import Sequence
from typing import Any

from evolution.strategy import Evaluation
from msnas.families.candidate_family import weight_sharing
from msnas.families.family import Family
from msnas.families.front import pareto_front
from msnas.pipeline.rank_table import label
from msnas.pipeline.recipe_line import recipe_line
from msnas.report.gain import FPN, FPN_HEADS, RANDOM, WINNER
from msnas.report.networks_table import networks_of, tau_of
from msnas.report.run_data import Record, RunData
from msnas.report.samples import genomes_drawn, samples_of
from msnas.report.spread import mean
from msnas.report.survivors import best_so_far, choices
from msnas.runs.folder import RANDOM_SEARCH
from supernet.space import SearchSpace

CURVE_POINTS = 240  # a training curve is drawn from at most so many bins
LEFT_OUT = ("survivors", "drawn")  # of a generation's record: genomes, which the page has counted


def page_data(
    run: RunData,
    *,
    intervals: Record | None = None,
    pictures: Sequence[Record] = (),
    note: str = "",
    sizes: Sequence[Record] = (),
) -> Record:
    """JSON values only. The other arguments are what `held_out` and `sizes_of` give."""
    setup = run.setup
    first, second = first_scores(run.evaluations), first_scores(run.second)
    networks = networks_of(run.retrained, intervals or {})
    content: Record = _plain(
        {
            "name": run.name,
            "data": run.setup.data_name,
            "space": _space_record(run),
            "budget": _budget(run),
            "stages": [vars(stage) for stage in run.stages],
            "evaluations": _evaluations(first, setup.space),
            "generations": [_without_genomes(record) for record in run.generations],
            "best_so_far": best_so_far(run, first),
            "front": run.search.get("front", []),
            "random_search": run.search.get(RANDOM_SEARCH),
            "hypervolume": [record for record in run.generations if record.get("hypervolume") is not None],
            "samples": samples_of(run.generations, first),
            "second": _second(run, second),
            "sharing": setup.family.sharing(
                genomes_drawn(run.generations, first), genomes_drawn(run.second_generations, second)
            ),
            "score": _score(run),
            "choices": choices(run, first, setup.space),
            "winners": _winners(run.search.get("winners", []), networks),
            "finalists": run.search.get("finalists", []),
            "updates": run.updates,
            "rank": _rank(run.rank),
            "retrained": run.retrained,
            "recipe": recipe_line(setup, sized=run.sized),
            "networks": networks,
            "sizes": list(sizes),
            "latency": {key: value for key, value in run.latencies.items() if key != "whole_ms"},
            "gain_command": _gain_command(run, networks),
            "tau": tau_of(networks),
            "curves": [_curve(name, lines) for name, lines in run.curves.items() if lines],
            "pictures": list(pictures),
            "pictures_note": note,
            "environment": run.environment,
        }
    )
    return content


def _score(run: RunData) -> Record:
    """What candidates were judged by, minus a loss or an AP; how: whether each was trained for it."""
    shared = weight_sharing(run.setup.family)
    as_they_are = shared is not None and (shared.recipe.kind == "bn" or not shared.recipe.finetunes)
    how = {"how": "with the supernet's weights" if as_they_are else "each briefly trained"}
    if run.setup.family.scored_by_loss:
        return {"is_loss": True, "name": "reward", "long": "reward (minus the sum of losses)", **how}
    return {"is_loss": False, "name": "one-shot AP", "long": "one-shot AP", **how}


def _second(run: RunData, evaluations: Sequence[Evaluation]) -> Record | None:
    """Of the second space that the search went through; None where it did not."""
    if not evaluations:
        return None
    said = run.setup.family.second_search(len(evaluations))
    return {"text": said, "samples": samples_of(run.second_generations, evaluations)}


def _winners(winners: Sequence[Record], networks: Sequence[Record]) -> list[Record]:
    """The search's winners, each with its AP after retraining, None before."""
    trained = {row["architecture"]: row["ap"] for row in networks if not row["baseline"]}
    return [{**winner, "retrained": trained.get(winner["architecture"])} for winner in winners]


def _gain_command(run: RunData, networks: Sequence[Record]) -> str | None:
    """What trains the networks that tell where a searched winner's gain comes from; None where they are there."""
    roles, family = {row["role"] for row in networks}, type(run.setup.family)
    if not {WINNER, FPN} <= roles:
        return None
    told = {FPN_HEADS: ("retrain.fpn_heads=true", "fpn_with_heads_of"), RANDOM: ("retrain.random=3", "alike")}
    words = [
        word
        for role, (word, method) in told.items()
        if role not in roles and getattr(family, method) is not getattr(Family, method)
    ]
    return f"msnas retrain run={run.name} {' '.join(words)}" if words else None


def _without_genomes(record: Record) -> Record:
    return {key: None if key in LEFT_OUT else value for key, value in record.items()}


def _rank(table: Record) -> Record | None:
    """What `msnas rank` found, each score with its name; None where it has not run."""
    if not table:
        return None
    return {**table, "rows": [{**row, "label": label(row)} for row in table["rows"]]}


def first_scores(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """The scores that the search saw, one a candidate: of a failed one that was tried again, the last."""
    return list({e.genome: e for e in evaluations if e.replicate == 0}.values())


def _space_record(run: RunData) -> Record:
    return {"name": run.setup.space_name, **run.setup.space_options}


def _budget(run: RunData) -> Record | None:
    budget = run.setup.budget if run.sized else None
    if budget is None:
        return None
    bounds = {"metric": budget.metric, "target": budget.target, "low": budget.low, "high": budget.high}
    others = [{"metric": one.metric, "low": one.low, "high": one.high} for one in budget.also]
    return {**bounds, "also": others, "text": str(budget)}


def _evaluations(evaluations: Sequence[Evaluation], space: SearchSpace) -> list[Record]:
    known = [index for index, e in enumerate(evaluations) if e.ok and "macs" in e.cost]
    points = [(float(evaluations[index].cost["macs"]), evaluations[index].score[0]) for index in known]
    front = {known[place] for place in pareto_front(points)}
    return [
        {
            "architecture": str(space.decode(evaluation.genome)),
            "genome": list(evaluation.genome),
            "ap": evaluation.score[0] if evaluation.ok else None,
            "macs": evaluation.cost.get("macs"),
            "params": evaluation.cost.get("params"),
            "latency_us": evaluation.cost["latency_ms"] * 1000 if "latency_ms" in evaluation.cost else None,
            "generation": evaluation.generation,
            "origin": evaluation.origin,
            "rung": evaluation.rung,
            "status": evaluation.status,
            "reason": evaluation.reason,
            "seconds": evaluation.seconds,
            "front": index in front,
        }
        for index, evaluation in enumerate(evaluations)
    ]


def _curve(name: str, lines: Sequence[Record]) -> Record:
    """The loss in bins of equal length: mean, smallest, largest; the learning rate at the bin's end."""
    width = math.ceil(len(lines) / CURVE_POINTS)
    bins = [lines[start : start + width] for start in range(0, len(lines), width)]
    return {
        "name": name,
        "steps": len(lines),
        "step": [part[-1]["step"] for part in bins],
        "loss": [mean([line["loss"] for line in part]) for part in bins],
        "low": [min(line["loss"] for line in part) for part in bins],
        "high": [max(line["loss"] for line in part) for part in bins],
        "lr": [part[-1].get("lr") for part in bins],
    }


def _plain(value: Any) -> Any:
    """The same as JSON can say it: no nan, no infinity, lists for tuples."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
