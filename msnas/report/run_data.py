"""What a report knows of a run: the files of its folder, read only, whatever stages have run so far."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evolution.history import History
from evolution.strategy import Evaluation
from msnas.errors import ConfigError, RunError
from msnas.files import read_json, read_lines
from msnas.runs.folder import (
    BASELINE,
    CONFIG,
    DONE,
    ENVIRONMENT,
    FRONT,
    LATENCIES,
    METRICS,
    RANK,
    RESULT,
    RETRAIN,
    SEARCH,
    SUPERNET,
    TABLE,
    UPDATES,
    completing,
    stages_of,
)
from msnas.runs.folder import DETECTIONS as DETECTED
from msnas.runs.state import StageState, stage_state
from msnas.setup.open_run import stored_setup
from msnas.setup.options import OTHER_START
from msnas.setup.setup import Setup

Record = dict[str, Any]


@dataclass(frozen=True)
class StageData:
    """One stage: how far it is, the seconds it took where it says so, and the command that completes it."""

    name: str
    state: StageState
    seconds: float | None
    command: str


@dataclass(frozen=True)
class RunData:
    """The content of one run folder. Lists are empty and records are {} where a stage has not written them.

    setup: what the stored configuration means, at the space's own input size where the data are gone (`sized` is then
    false, and a budget that follows from that size is not known). evaluations: in the order made, failed attempts
    included. generations: the strategy's own records. second, second_generations: the same of the second space that
    a search went through, where there is one. curves: lines of `metrics.jsonl` by stage ("supernet", "retrain/01-...").
    front: the same as `retrained` of the networks along the search's front; latencies: their milliseconds, by name.
    rank: what `msnas rank` found. retrained: `result.json` of every network trained alone (each seed is one)
    with its `folder`.
    """

    name: str
    folder: Path
    setup: Setup
    sized: bool
    config_text: str
    environment: Record
    stages: tuple[StageData, ...]
    evaluations: list[Evaluation]
    generations: list[Record]
    search: Record
    retrained: list[Record]
    curves: dict[str, list[Record]]
    updates: Record = field(default_factory=dict)
    rank: Record = field(default_factory=dict)
    front: list[Record] = field(default_factory=list)
    latencies: Record = field(default_factory=dict)
    second: list[Evaluation] = field(default_factory=list)
    second_generations: list[Record] = field(default_factory=list)

    @classmethod
    def read(cls, folder: Path) -> "RunData":
        """Raises RunError where `folder` is no run."""
        path = folder / CONFIG
        if not path.exists():
            raise RunError(f"{folder} is no run: it has no config.yaml. `msnas runs` lists the runs.")
        setup, sized = _readable(stored_setup(folder))
        (evaluations, generations), *others = [_history(folder / SEARCH / name) for name in setup.family.histories]
        second, second_generations = others[0] if others else ([], [])
        return cls(
            name=folder.resolve().name,
            folder=folder,
            setup=setup,
            sized=sized,
            config_text=path.read_text(encoding="utf-8"),
            environment=read_json(folder / ENVIRONMENT) or {},
            stages=tuple(_stage(folder, name) for name in stages_of(folder, named=setup.names_architectures)),
            evaluations=evaluations,
            generations=generations,
            search=read_json(folder / SEARCH / RESULT) or {},
            retrained=list(_retrained(folder / RETRAIN)),
            curves=dict(_curves(folder)),
            updates=read_json(folder / SUPERNET / UPDATES) or {},
            rank=read_json(folder / RANK / TABLE) or {},
            front=list(_retrained(folder / FRONT)),
            latencies=read_json(folder / FRONT / LATENCIES) or {},
            second=second,
            second_generations=second_generations,
        )

    def stage(self, name: str) -> StageData:
        """The stage of that name."""
        return next(stage for stage in self.stages if stage.name == name)

    def detections(self, retrained: Record, stage: str = RETRAIN) -> list[Record]:
        """The COCO results of one entry of `retrained` (or `front`), [] where they were not written."""
        return read_json(self.folder / stage / str(retrained["folder"]) / DETECTED) or []


def _readable(setup: Setup) -> tuple[Setup, bool]:
    """A setup whose space can be made, and whether its input size is that of the data."""
    try:
        return setup, bool(setup.input_size)
    except (ConfigError, OSError):  # `input=auto` reads the data, which need not be on this machine
        return setup.at_default_size(), False


def _stage(folder: Path, name: str) -> StageData:
    seconds = (read_json(folder / name / DONE) or {}).get("seconds")
    return StageData(name, stage_state(folder / name), seconds, f"msnas {completing(name)} run={folder.resolve().name}")


def _history(path: Path) -> tuple[list[Evaluation], list[Record]]:
    if not path.exists():
        return [], []
    with History.read(path) as history:
        return history.evaluations(), history.generations()


def _retrained(folder: Path) -> Iterator[Record]:
    """Winners by rank, then the same from another start, then the baselines."""
    records = [{"folder": path.parent.name, **read_json(path)} for path in folder.glob(f"*/{RESULT}")]

    def place(record: Record) -> tuple[bool, bool, str]:
        return record["folder"].startswith(BASELINE), record.get("role") == OTHER_START, record["folder"]

    yield from sorted(records, key=place)


def _curves(folder: Path) -> Iterator[tuple[str, list[Record]]]:
    paths = [folder / SUPERNET, *sorted((folder / RETRAIN).glob("*"))]
    for path in paths:
        if (path / METRICS).exists():
            yield path.relative_to(folder).as_posix(), read_lines(path / METRICS)
