"""The search stage: a strategy inside the budget; every candidate briefly finetuned from the supernet, then scored.

Candidates are scored on `search_val`, images that neither the supernet nor the finetune sees and that no report is
made on.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evolution.strategy import Evaluation, Record
from msnas.data.dataset import DetectionDataset
from msnas.engine.devices import describe
from msnas.errors import ConfigError, DataError
from msnas.families.family import ScoredNetwork, SearchOutcome
from msnas.families.front import lines_of
from msnas.files import write_json
from msnas.pipeline.exported_ceiling import ExportedCeiling
from msnas.pipeline.prepared_data import prepared
from msnas.pipeline.random_beside import search_at_random
from msnas.pipeline.search_checks import check_search
from msnas.pipeline.standalone_training import identity
from msnas.pipeline.supernet_training import pretrain
from msnas.pipeline.tensorboard import Board, picture_of
from msnas.runs.folder import (
    DONE,
    RANDOM_SEARCH,
    RESULT,
    SEARCH,
    STATUS,
    SUPERNET,
    completing,
    record_environment,
    stages_of,
)
from msnas.runs.progress import Progress, duration
from msnas.setup.open_run import OpenRun

STAGE = SEARCH
log = logging.getLogger(__name__)


def search(run: OpenRun, command: Sequence[str]) -> str:
    """The stage: reads `supernet/weights.safetensors`, leaves `search/history.sqlite` and `search/result.json`.

    command: its words, for the run's record. Returns what there is to say in the end.
    """
    setup, done = run.setup, run.done(STAGE)
    if done is not None:
        evaluated = f"{done['evaluated']} evaluations"
        return f"The search of run {run.name} is complete ({evaluated}). {_next(run)}"
    _before(run, command)
    hardware, ceiling = setup.hardware.for_candidates(), ExportedCeiling.of(setup)
    settings = setup.search(weights=run.weights, folder=run.folder / STAGE)
    check_search(setup, settings)
    settings = replace(settings, fingerprint={**settings.fingerprint, **setup.hardware.kind_of_candidates()})
    splits = prepared(setup, run.splits(), hardware)
    if len(splits.search_val) == 0:
        raise DataError("Candidates need images to be scored on, but search_val is empty; add training images.")
    for scored in filter(None, (splits.search_val, splits.selection_val)):
        _refuse_reported_split(scored, splits.val)
    log.info(_size_of(run))
    log.info("About %d evaluations.", setup.evaluations)
    record_environment(run, command, describe(hardware))
    folder = run.stage(STAGE)
    with (
        Board(folder, on=setup.tensorboard) as board,
        _Narrator(folder / STATUS, board, expected=setup.evaluations, workers=setup.hardware.workers) as narrator,
    ):
        outcome = setup.family.search(settings, splits, narrator)
        if ceiling is not None:
            outcome = ceiling.kept(outcome)
        draws = search_at_random(settings, setup.family, splits, narrator) if setup.random_search else ()
        best = draws[:1] if ceiling is None else ceiling.below(draws, 1)
        if board.on:
            board.picture(outcome.evaluated, "winner", picture_of(setup, outcome.winners[0].architecture))
    exported = {} if ceiling is None else ceiling.measured
    _keep(run, outcome, best, exported)
    return _answer(run, outcome, exported)


def _before(run: OpenRun, command: Sequence[str]) -> None:
    """What a search needs first: nothing, a backbone, trained now if it is not, or a supernet, which must exist."""
    if run.done(SUPERNET) is not None:
        return
    pretraining = run.setup.family_class.pretraining
    if pretraining is None:
        write_json(run.stage(SUPERNET) / DONE, {"steps": 0, "seconds": 0.0})
    elif pretraining == "supernet":
        run.require(SUPERNET)
    else:
        log.info(pretrain(run, command))


def _keep(run: OpenRun, outcome: SearchOutcome, drawn: Sequence[ScoredNetwork], exported: Mapping[str, float]) -> None:
    """drawn: the best of random search; empty without one, or where none is below the ceiling of exported networks."""
    winners, finalists = _ranked(outcome.winners, exported), _ranked(outcome.finalists, exported)
    summary = {"evaluated": outcome.evaluated, "failed": outcome.failed, "seconds": outcome.seconds}
    summary["inside_budget"] = outcome.inside_budget
    beside: dict[str, Any] = {} if outcome.front is None else {"front": outcome.front}
    if drawn:
        beside[RANDOM_SEARCH] = _ranked(drawn[:1], exported)[0]
    write_json(run.stage(STAGE) / RESULT, {"winners": winners, "finalists": finalists, **beside, **summary})
    write_json(run.stage(STAGE) / DONE, summary)


def _answer(run: OpenRun, outcome: SearchOutcome, exported: Mapping[str, float]) -> str:
    lines = [_line(winner) for winner in _ranked(outcome.winners, exported)]
    lines += lines_of(outcome.front or [])
    inside = f"{outcome.inside_budget} of {outcome.evaluated} valid and inside the budget"
    took = f"{outcome.evaluated} evaluations in {duration(outcome.seconds)}"
    return "\n".join([*lines, f"{took}, {inside}. {_next(run)}"])


def _next(run: OpenRun) -> str:
    """What comes after a search, which has left its result: of a front, a family of networks along it."""
    after = stages_of(run.folder, named=False)[-1]
    return f"Next: msnas {completing(after)} run={run.name}"


def _line(winner: Mapping[str, Any]) -> str:
    told = f"{winner['rank']}.  {winner['architecture']}  score {winner['score']:.4f}  {winner['macs']:,} MACs"
    return f"{told}  {winner['exported_ms']:.1f} ms exported" if "exported_ms" in winner else told


def _ranked(best: Sequence[ScoredNetwork], exported: Mapping[str, float]) -> list[dict[str, Any]]:
    """exported: milliseconds by architecture, of those that were timed."""
    return [_winner(rank, scored, best[0], exported) for rank, scored in enumerate(best, start=1)]


def _winner(rank: int, scored: ScoredNetwork, first: ScoredNetwork, exported: Mapping[str, float]) -> dict[str, Any]:
    finalist, architecture = scored.finalist, str(scored.architecture)
    return {
        "rank": rank,
        "id": identity(architecture),
        "genome": list(finalist.genome),
        "architecture": architecture,
        **scored.cost.by_name(),
        **({"exported_ms": exported[architecture]} if architecture in exported else {}),
        "score": finalist.mean,
        "standard_error": finalist.standard_error,
        "image_error": finalist.image_error,
        "image_error_beside_first": finalist.image_error_beside(first.finalist) if rank > 1 else None,
        "score_at_selection": finalist.selected.score[0],
        "scores_again": [again.score[0] for again in finalist.again],
    }


def _size_of(run: OpenRun) -> str:
    setup = run.setup
    budget, count = setup.budget, setup.bounded_space.count()
    inside = f"with {budget}" if budget is not None else "in the space"
    number = "An unknown number of" if count is None else f"{count:,}"
    return f"{number} architectures {inside}; costs at {'x'.join(map(str, setup.input_size))}."


class _Narrator:
    """Says what the search does: each candidate, each generation."""

    def __init__(self, status: Path, board: Board, *, expected: int, workers: int) -> None:
        self._progress = Progress(STAGE, expected, status=status, side_by_side=max(1, workers))
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
        log.info("Searching %s", name)

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
        said = f"generation {evaluation.generation}, {number}/{of}: {outcome}"
        self._progress.update(self._done, said, seconds=evaluation.seconds)
        scored = {"ap": evaluation.score[0]} if evaluation.ok else {}
        self._board.scalars(self._done, {**scored, **evaluation.cost, "seconds": evaluation.seconds}, part="candidate")

    def generation(self, record: Record) -> None:
        """One generation is finished and stored."""
        self._board.scalars(self._done, record, part="generation")  # a second part counts generations anew
        if record.get("best") is not None:
            said = f"generation {record['generation']}: best {record['best']:.4f}, mean {record['mean']:.4f}"
            if "hypervolume" in record:
                said += f", front {record['front']}, hypervolume {record['hypervolume']:.4g}"
            log.info(said)


def _refuse_reported_split(scored: DetectionDataset, reported: DetectionDataset) -> None:
    """Raise ConfigError where candidates would be scored on images that the report is made on."""
    shared = {scored.file(i) for i in range(len(scored))} & {reported.file(i) for i in range(len(reported))}
    if shared:
        raise ConfigError(
            f"A search must not see the reported split, but {len(shared)} of its images, such as "
            f"{min(shared).name}, would score candidates; give another data.val_json."
        )
