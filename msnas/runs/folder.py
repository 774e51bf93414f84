"""The run folder: what a stage leaves for the next one, and for whoever starts it again.

`runs/NAME/` holds `config.yaml` (resolved), `environment.json` (versions, hardware, commands) and one folder a
stage. A stage that is complete has a `done.json`; nothing half-written ever carries a final name; one process works
on a run at a time.
"""

import fcntl
import shlex
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msnas.errors import RunError
from msnas.files import read_json, write_json, write_text

ROOT = "runs"  # as conf/config.yaml has it
WORDS, CONFIG = "words.json", "config.yaml"  # the user's own words, and all options that follow from them
ENVIRONMENT, REPORT, LOCK = "environment.json", "report.html", ".lock"
DATA = "data.json"  # what the data set held when the first stage read it
# Of a stage's folder
DONE, RESULT, STATUS, TABLE, METRICS = "done.json", "result.json", "status.json", "table.json", "metrics.jsonl"
WEIGHTS, DETECTIONS, CHECKPOINT = "weights.safetensors", "detections.json", "checkpoint.pt"
UPDATES = "updates.json"  # how many steps each branch of a supernet was trained in
HALFWAY = "half.json"  # the AP after half of a training's steps
MODEL, MODEL_WEIGHTS = "model.json", "model.safetensors"  # as `msnas export` copies them out
MODELS = "models.json"  # beside the folders of an exported front: what each of them holds
HISTORY, HEAD_HISTORY = "history.sqlite", "head.sqlite"  # of a search, and of its second half where it has one
SCORES, SETTING = "scores.json", "setting.json"  # of a ranking: a network's, and what all were made with
SUPERNET, SEARCH, RETRAIN, RANK = "supernet", "search", "retrain", "rank"  # folders of the stages, and of a ranking
STAGES = {SUPERNET: "train", SEARCH: "search", RETRAIN: "retrain"}  # each with the command that completes it
FRONT = "front"  # a stage that a run may have: several networks along the front of its search
FEWEST_ON_FRONT = 3  # networks that nothing as cheap beats, below which a search has no front to train
PLAN, LATENCIES = "plan.json", "latency.json"  # how many networks a stage trains; what a front's networks take
RANDOM_SEARCH = "random_search"  # in the search's folder, and in its result: what as many uniform draws found
BASELINE = "baseline-"  # how the folders of what winners are compared with begin


@dataclass(frozen=True)
class Run:
    """A run folder. before: the files that this command's words have changed, name to former text."""

    folder: Path
    before: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The folder's name, what `run=` takes."""
        return self.folder.name

    @property
    def weights(self) -> Path:
        """What `msnas train` leaves for candidates."""
        return self.folder / SUPERNET / WEIGHTS

    def stage(self, name: str) -> Path:
        """The folder of a stage (made when it is missing)."""
        path = self.folder / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def done(self, name: str) -> dict[str, Any] | None:
        """What a complete stage said of itself, None while it is not complete."""
        done: dict[str, Any] | None = read_json(self.folder / name / DONE)
        return done

    def require(self, name: str) -> dict[str, Any]:
        """`done(name)`, or a RunError that names the command that completes the stage."""
        done = self.done(name)
        if done is None:
            command = f"msnas {completing(name)} run={self.name}"
            raise RunError(f"Stage {name!r} of run {self.name} is not complete; finish it with `{command}`.")
        return done

    def forget_unless_begun(self, stage: str) -> None:
        """A wrong option leaves nothing behind: neither a run that no stage has begun nor words of one that has not."""
        if (self.folder / stage).exists():
            return
        if not any((self.folder / name).exists() for name in (*STAGES, FRONT)):
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            for name, text in self.before.items():
                write_text(self.folder / name, text)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run for this process, by a lock that dies with it.

        Raises RunError where another process holds it, or where its file system knows no locks.
        """
        with open(self.folder / LOCK, "w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunError(f"Another process works on run {self.name}; wait for it, or end it first.") from None
            except OSError as error:
                raise RunError(
                    f"A run must be locked against other processes, but the file system of {self.folder} cannot "
                    f"({error.strerror}); put runs_root=FOLDER on another."
                ) from error
            yield


def stages_of(folder: Path, *, named: bool) -> tuple[str, ...]:
    """The stages that a run has. named: architectures are, so that none comes before their training.

    A search with a front is followed by the front's training, unless it was its winners' that was begun.
    """
    stages = tuple(name for name in STAGES if name == RETRAIN or not named or (folder / name).exists())
    begun, retrained = (folder / FRONT).exists(), (folder / RETRAIN).exists()
    if not begun and (retrained or not _has_front(folder)):
        return stages
    return (*(name for name in stages if name != RETRAIN or retrained), FRONT)


def _has_front(folder: Path) -> bool:
    """Whether the search of a run was one for a front, and found one."""
    found = read_json(folder / SEARCH / RESULT) or {}
    return len(found.get("front", ())) >= FEWEST_ON_FRONT


def completing(stage: str) -> str:
    """The words of the command that completes a stage, behind `msnas`."""
    return "retrain front" if stage == FRONT else STAGES[stage]


def is_held(folder: Path) -> bool:
    """Whether a living process works on the run."""
    try:
        with open(folder / LOCK) as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks, where no run works
        return False
    return False


def newest(root: Path) -> list[Path]:
    """Every run folder, the one that was worked on last first."""
    made = [path.parent for path in root.glob(f"*/{CONFIG}")]
    return sorted(made, key=lambda folder: (folder / CONFIG).stat().st_mtime, reverse=True)


def find_run(root: Path, name: str | None) -> Path:
    """The folder of a run: a name in `root` or a path; None: the newest. Raises RunError where there is none."""
    folders = newest(root)
    if name is None:
        if not folders:
            raise RunError(f"There is no run in {root}/ yet; `msnas train` makes one, `msnas demo` shows all stages.")
        return folders[0]
    for folder in (root / name, Path(name)):
        if (folder / CONFIG).exists():
            return folder
    known = ", ".join(folder.name for folder in folders[:5]) or "none"
    raise RunError(f"There is no run {name!r}; there are: {known}.")


def next_folder(root: Path, stem: str) -> Path:
    """The first of STEM-001, STEM-002, ... that does not exist."""
    number = 1
    while (root / f"{stem}-{number:03d}").exists():
        number += 1
    return root / f"{stem}-{number:03d}"


def record_environment(run: Run, command: Sequence[str], environment: Mapping[str, Any]) -> None:
    """Add this command to the run's `environment.json`: versions, hardware, when, and its words as typed."""
    path = run.folder / ENVIRONMENT
    record = read_json(path) or {"commands": []}
    typed = shlex.join(["msnas", *command])
    began = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    record["commands"].append({"command": typed, "began": began, **environment})
    write_json(path, record)
