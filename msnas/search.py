"""`msnas search`: a strategy inside the budget; every candidate briefly finetuned from the supernet, then scored.

Candidates are scored on `search_val`, images that neither the supernet nor the finetune sees and that no report is
made on.
"""

import hashlib
import json
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from evolution.halving import by_halving
from evolution.history import History
from evolution.search import Drive, Finalist, SearchResult, by_generations, run_search
from evolution.steady_state import steadily
from evolution.strategy import Evaluation, Genome, Record, Strategy
from msnas.candidates import evaluate_many, recipe_of, rungs_of
from msnas.cli import Call
from msnas.config import build
from msnas.data.coco import DetectionDataset
from msnas.errors import ConfigError, DataError
from msnas.family import family_of
from msnas.front import check_objectives, front_of, lines_of
from msnas.latency_table import latency_of, wants_latency
from msnas.progress import Progress, duration
from msnas.retrain import identity
from msnas.runs import Run, open_existing, open_new, write_json
from msnas.seeds import derive
from msnas.setting import hardware_of, open_splits, record_start
from msnas.spaces import bounded_space, budget_of, input_size
from msnas.tensorboard import Board, picture_of

STAGE = "search"


def main(call: Call) -> int:
    """Search, or go on searching, in the run that the call's words name."""
    run = _open(call)
    with run.locked():
        search(run, call)
    return 0


def _open(call: Call) -> Run:
    """The run of the words; where candidates share no weights, a search is the first stage and may begin one."""
    if family_of(call.config).SHARES_WEIGHTS:
        return open_existing(call.words, stage=STAGE)
    run = open_new(call.words)
    if run.done("supernet") is None:
        write_json(run.stage("supernet") / "done.json", {"steps": 0, "seconds": 0.0})
    return open_existing([*call.words, f"run={run.name}"], stage=STAGE)


def search(run: Run, call: Call) -> None:
    """The stage: reads `supernet/weights.safetensors`, leaves `search/history.sqlite` and `search/result.json`."""
    run.require("supernet")
    done = run.done(STAGE)
    if done is not None:
        evaluated = f"{done['evaluated']} evaluations"
        print(f"The search of run {run.name} is complete ({evaluated}). Next: msnas retrain run={run.name}")
        return
    config = run.config
    hardware = hardware_of(config, threads=config.hardware.threads)
    splits = open_splits(config)
    if len(splits.search_val) == 0:
        raise DataError("Candidates need images to be scored on, but search_val is empty; add training images.")
    _refuse_reported_split(splits.search_val, splits.val)
    space = bounded_space(config)
    check_objectives(config, space, np.random.default_rng(0))
    strategy: Strategy = build(config.strategy, space=space, seed=derive(config.seed, STAGE, "strategy"))
    print(_size_of(config, space), file=sys.stderr)
    print(_estimate(run, len(splits.search_val)), file=sys.stderr)
    record_start(run, call, hardware)
    folder = run.stage(STAGE)
    weights = run.folder / "supernet" / "weights.safetensors"
    with (
        History(folder / "history.sqlite", fingerprint=_fingerprint(config, weights)) as history,
        evaluate_many(config, splits, weights) as engine,
        Board(folder, on=config.log.tensorboard) as board,
        _Narrator(
            folder / "status.json", board, expected=_expected(config), done=len(history.evaluations())
        ) as narrator,
    ):
        result = run_search(
            strategy,
            engine,
            history,
            drive=_drive(config),
            top_k=config.top_k,
            finalists=config.search.finalists,
            replicates=config.search.replicates,
            on_evaluation=narrator.evaluation,
            on_generation=narrator.generation,
        )
        genomes = [evaluation.genome for evaluation in history.evaluations()]
        if board.on:
            board.picture(result.evaluated, "winner", picture_of(config, space.decode(result.winners[0].genome)))
    _finish(run, result, space, genomes, front_of(strategy, space, result.finalists))


def _drive(config: DictConfig) -> Drive:
    """How the strategy is taken to its end."""
    rungs = rungs_of(config)
    return by_halving(len(rungs)) if rungs else steadily if config.asynchronous else by_generations


def _finish(
    run: Run, result: SearchResult, space: Any, genomes: list[Genome], front: list[dict[str, Any]] | None
) -> None:
    winners = [_winner(rank, finalist, space) for rank, finalist in enumerate(result.winners, start=1)]
    summary = {"evaluated": result.evaluated, "failed": result.failed, "seconds": result.seconds}
    summary["inside_budget"] = sum(space.is_valid(genome) for genome in genomes)
    finalists = [_winner(rank, finalist, space) for rank, finalist in enumerate(result.finalists, start=1)]
    answer = {"winners": winners, "finalists": finalists, **({} if front is None else {"front": front})}
    write_json(run.stage(STAGE) / "result.json", {**answer, **summary})
    write_json(run.stage(STAGE) / "done.json", summary)
    for winner in winners:
        print(f"{winner['rank']}.  {winner['architecture']}  score {winner['score']:.4f}  {winner['macs']:,} MACs")
    for line in lines_of(front or []):
        print(line)
    inside = f"{summary['inside_budget']} of {result.evaluated} valid and inside the budget"
    print(f"{result.evaluated} evaluations in {duration(result.seconds)}, {inside}. Next: msnas retrain run={run.name}")


def _winner(rank: int, finalist: Finalist, space: Any) -> dict[str, Any]:
    architecture, cost = str(space.decode(finalist.genome)), space.cost(finalist.genome)
    return {
        "rank": rank,
        "id": identity(architecture),
        "genome": list(finalist.genome),
        "architecture": architecture,
        **cost.by_name(),
        "score": finalist.mean,
        "standard_error": finalist.standard_error,
        "score_at_selection": finalist.selected.score[0],
        "scores_again": [again.score[0] for again in finalist.again],
    }


def _fingerprint(config: DictConfig, weights: Path) -> dict[str, Any]:
    """What a history's scores depend on: another of these is another search."""
    plain: Any = OmegaConf.to_container(config, resolve=True)
    budget = budget_of(config)
    supernet = None
    if family_of(config).SHARES_WEIGHTS:
        with open(weights, "rb") as file:
            supernet = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    return {
        "seed": config.seed,
        "space": {**plain["space"], "input_size": list(input_size(config))},
        "budget": None if budget is None else str(budget),
        "candidate": plain["candidate"],
        "proxy": plain.get("proxy"),
        "strategy": plain["strategy"],
        "threads": config.hardware.threads,
        "supernet": supernet,
        **({} if config.fidelity == "full" else {"fidelity": config.fidelity}),
        **({"latency": latency_of(config, input_size(config))} if wants_latency(config) else {}),
    }


def _size_of(config: DictConfig, space: Any) -> str:
    budget = budget_of(config)
    inside = f"with {budget}" if budget is not None else "in the space"
    return f"{space.count():,} architectures {inside}; costs at {'x'.join(map(str, input_size(config)))}."


def _estimate(run: Run, images: int) -> str:
    """How long the search will take, by the supernet's own speed.

    A detection counts as a third of a training image, since it has no backward pass.
    """
    config = run.config
    if not family_of(config).SHARES_WEIGHTS:
        return f"About {_expected(config)} evaluations."
    lines = (run.folder / "supernet" / "metrics.jsonl").read_text().splitlines()
    step = statistics.median(json.loads(line)["seconds"] for line in lines)
    recipe = recipe_of(config)
    trained = recipe.iterations * recipe.batch if recipe.finetunes else 0
    candidate = step / config.schedule.batch * (trained + images / 3)
    wall = candidate * _expected(config) / max(1, config.hardware.workers)
    return f"About {_expected(config)} evaluations; by the supernet's speed {duration(wall)} in all."


def _expected(config: DictConfig) -> int:
    """How many evaluations the strategy will ask for, about: it may find fewer children than it wants."""
    strategy, finalists = config.strategy, config.search.finalists * config.search.replicates
    children = strategy.get("children", 1) + strategy.get("n_random", 0)
    searched = strategy.get("population_size", 0) + strategy.get("iterations", 0) * children
    rungs = len(config.candidate.rungs) if config.fidelity == "halving" else 1
    return int(searched * sum(0.5**rung for rung in range(rungs)) + finalists)


class _Narrator:
    """Says what the search does: each candidate, each generation. done: the evaluations before this process."""

    def __init__(self, status: Path, board: Board, *, expected: int, done: int) -> None:
        self._progress = Progress(STAGE, expected, status=status)
        self._board = board
        self._done = done

    def __enter__(self) -> "_Narrator":
        self._progress.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.__exit__(*error)

    def evaluation(self, evaluation: Evaluation, number: int, of: int) -> None:
        """One candidate is finished."""
        self._done += 1
        outcome = f"{evaluation.score[0]:.4f}" if evaluation.ok else f"failed: {evaluation.reason}"
        self._progress.update(self._done, f"generation {evaluation.generation}, {number}/{of}: {outcome}")
        scored = {"ap": evaluation.score[0]} if evaluation.ok else {}
        self._board.scalars(self._done, {**scored, **evaluation.cost, "seconds": evaluation.seconds}, part="candidate")

    def generation(self, record: Record) -> None:
        """One generation is finished and stored."""
        self._board.scalars(record["generation"], record, part="generation")
        if record.get("best") is not None:
            said = f"generation {record['generation']}: best {record['best']:.4f}, mean {record['mean']:.4f}"
            if "hypervolume" in record:
                said += f", front {record['front']}, hypervolume {record['hypervolume']:.4g}"
            print(said, file=sys.stderr)


def _refuse_reported_split(scored: DetectionDataset, reported: DetectionDataset) -> None:
    """Raise ConfigError where candidates would be scored on images that the report is made on."""
    shared = {scored.file(i) for i in range(len(scored))} & {reported.file(i) for i in range(len(reported))}
    if shared:
        raise ConfigError(
            f"A search must not see the reported split, but {len(shared)} of its images, such as "
            f"{min(shared).name}, would score candidates; give another data.val_json."
        )
