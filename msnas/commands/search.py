"""`msnas search`: a strategy inside the budget; every candidate briefly finetuned from the supernet, then scored.

Candidates are scored on `search_val`, images that neither the supernet nor the finetune sees and that no report is
made on.
"""

import statistics
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig

from evolution.strategy import Evaluation, Record
from msnas.call import Call
from msnas.config.compose import build
from msnas.data.opening import DetectionDataset
from msnas.errors import ConfigError, DataError
from msnas.families.family import Chosen, Found, family_of
from msnas.files import read_lines, write_json
from msnas.pipeline.candidates import recipe_of, rungs_of
from msnas.pipeline.front import check_objectives, lines_of
from msnas.pipeline.standalone_training import identity
from msnas.pipeline.supernet_training import train_first
from msnas.pipeline.tensorboard import Board, picture_of
from msnas.runs.folder import Run, open_existing, open_new
from msnas.runs.progress import Progress, duration
from msnas.setup.space import bounded_space, budget_of, input_size
from msnas.setup.training import hardware_of, open_splits, record_start

STAGE = "search"


def main(call: Call) -> int:
    """Search, or go on searching, in the run that the call's words name."""
    run = _open(call)
    try:
        with run.locked():
            search(run, call)
    finally:
        run.forget_unless_begun(STAGE)
    return 0


def _open(call: Call) -> Run:
    """The run of the words; a family without a supernet may begin one with a search."""
    if family_of(call.config).FIRST == "supernet":
        return open_existing(call.words, stage=STAGE)
    run = open_new(call.words)
    return open_existing([*call.words, f"run={run.name}"], stage=STAGE)


def search(run: Run, call: Call) -> None:
    """The stage: reads `supernet/weights.safetensors`, leaves `search/history.sqlite` and `search/result.json`."""
    _before(run, call)
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
    _refuse_wrong_options(config, space)
    print(_size_of(config, space), file=sys.stderr)
    print(_estimate(run, len(splits.search_val)), file=sys.stderr)
    record_start(run, call, hardware)
    folder = run.stage(STAGE)
    with (
        Board(folder, on=config.log.tensorboard) as board,
        _Narrator(folder / "status.json", board, expected=_expected(config)) as narrator,
    ):
        found = family_of(config).search(
            config,
            splits,
            space=space,
            weights=run.folder / "supernet" / "weights.safetensors",
            folder=folder,
            hardware=hardware,
            told=narrator,
        )
        if board.on:
            board.picture(found.evaluated, "winner", picture_of(config, found.winners[0].architecture))
    _finish(run, found)


def _before(run: Run, call: Call) -> None:
    """What a search needs first: nothing, a backbone, trained now if it is not, or a supernet, which must exist."""
    family = family_of(run.config)
    if run.done("supernet") is not None:
        return
    if not family.FIRST:
        write_json(run.stage("supernet") / "done.json", {"steps": 0, "seconds": 0.0})
    elif family.SHARES_WEIGHTS:
        run.require("supernet")
    else:
        train_first(run, call)


def _finish(run: Run, found: Found) -> None:
    winners = [_winner(rank, chosen) for rank, chosen in enumerate(found.winners, start=1)]
    finalists = [_winner(rank, chosen) for rank, chosen in enumerate(found.finalists, start=1)]
    summary = {"evaluated": found.evaluated, "failed": found.failed, "seconds": found.seconds}
    summary["inside_budget"] = found.inside_budget
    answer = {"winners": winners, "finalists": finalists, **({} if found.front is None else {"front": found.front})}
    write_json(run.stage(STAGE) / "result.json", {**answer, **summary})
    write_json(run.stage(STAGE) / "done.json", summary)
    for winner in winners:
        print(f"{winner['rank']}.  {winner['architecture']}  score {winner['score']:.4f}  {winner['macs']:,} MACs")
    for line in lines_of(found.front or []):
        print(line)
    inside = f"{found.inside_budget} of {found.evaluated} valid and inside the budget"
    print(f"{found.evaluated} evaluations in {duration(found.seconds)}, {inside}. Next: msnas retrain run={run.name}")


def _winner(rank: int, chosen: Chosen) -> dict[str, Any]:
    finalist, architecture = chosen.finalist, str(chosen.architecture)
    return {
        "rank": rank,
        "id": identity(architecture),
        "genome": list(finalist.genome),
        "architecture": architecture,
        **chosen.cost.by_name(),
        "score": finalist.mean,
        "standard_error": finalist.standard_error,
        "score_at_selection": finalist.selected.score[0],
        "scores_again": [again.score[0] for again in finalist.again],
    }


def _size_of(config: DictConfig, space: Any) -> str:
    budget, count = budget_of(config), space.count()
    inside = f"with {budget}" if budget is not None else "in the space"
    number = "An unknown number of" if count is None else f"{count:,}"
    return f"{number} architectures {inside}; costs at {'x'.join(map(str, input_size(config)))}."


def _estimate(run: Run, images: int) -> str:
    """How long the search will take, by the supernet's own speed.

    A detection counts as a third of a training image, since it has no backward pass.
    """
    config = run.config
    if not family_of(config).SHARES_WEIGHTS:
        return f"About {_expected(config)} evaluations."
    lines = read_lines(run.folder / "supernet" / "metrics.jsonl")
    if not lines:
        return f"About {_expected(config)} evaluations."
    step = statistics.median(line["seconds"] for line in lines)
    recipe = recipe_of(config)
    trained = recipe.iterations * recipe.batch if recipe.finetunes else 0
    candidate = step / config.schedule.batch * (trained + images / 3)
    wall = candidate * _expected(config) / max(1, config.hardware.workers)
    return f"About {_expected(config)} evaluations; by the supernet's speed {duration(wall)} in all."


def _expected(config: DictConfig) -> int:
    """How many evaluations the strategy will ask for, about: it may find fewer children than it wants."""
    heads = config.get("heads")
    halves = [config.strategy, {**config.strategy, **heads}] if heads and heads.search else [config.strategy]
    rungs = len(config.candidate.rungs) if config.fidelity == "halving" else 1
    return sum(_asked(half, rungs) for half in halves) + len(halves) * int(
        config.search.finalists * config.search.replicates
    )


def _asked(strategy: Mapping[str, Any], rungs: int) -> int:
    children = strategy.get("children", 1) + strategy.get("n_random", 0)
    searched = strategy.get("population_size", 0) + strategy.get("iterations", 0) * children
    return int(searched * sum(0.5**rung for rung in range(rungs)))


class _Narrator:
    """Says what the search does: each candidate, each generation."""

    def __init__(self, status: Path, board: Board, *, expected: int) -> None:
        self._progress = Progress(STAGE, expected, status=status)
        self._status, self._board = status, board
        self._done = 0
        self._preparing: Progress | None = None

    def __enter__(self) -> "_Narrator":
        self._progress.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.__exit__(*error)

    def part(self, name: str) -> None:
        """A part of the search begins: one of several spaces."""
        print(f"Searching {name}", file=sys.stderr)

    def known(self, evaluations: int) -> None:
        """So many evaluations of this part were finished before."""
        self._done += evaluations

    def preparation(self, label: str, done: int, of: int) -> None:
        """So many of `of` steps of what is done before candidates can be scored."""
        if self._preparing is None or self._preparing.label != label:
            self._preparing = Progress(label, of, status=self._status)
        self._preparing.update(done)

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


def _refuse_wrong_options(config: DictConfig, space: Any) -> None:
    """Raise now what would be raised once the stage has begun, when its options can no longer be changed."""
    check_objectives(config, space, np.random.default_rng(0))
    rungs_of(config)
    build(config.strategy, space=space, seed=0)


def _refuse_reported_split(scored: DetectionDataset, reported: DetectionDataset) -> None:
    """Raise ConfigError where candidates would be scored on images that the report is made on."""
    shared = {scored.file(i) for i in range(len(scored))} & {reported.file(i) for i in range(len(reported))}
    if shared:
        raise ConfigError(
            f"A search must not see the reported split, but {len(shared)} of its images, such as "
            f"{min(shared).name}, would score candidates; give another data.val_json."
        )
