"""`msnas STAGE --multirun seed=0,1 ...`: jobs one by one or side by side, and a table of what became of each."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from evolution.errors import StrategyError
from msnas.call import Call
from msnas.config.compose import compose
from msnas.config.hydra_words import combinations
from msnas.errors import ConfigError, DataError, UserError
from msnas.files import DISK, disk_fault
from msnas.runs.folder import newest
from msnas.runs.launchers import BASIC, Launcher, launch, logs_folder
from msnas.runs.progress import duration
from supernet.errors import SpaceError

Row = tuple[int, str, str, str, str]  # exit code, options, run, time, result


def sweep(call: Call, command: Callable[[Call], int], launcher: Launcher) -> int:
    """Give every combination of the words' values to `command`; returns the highest exit code.

    Every job's words are composed before the first begins, so that a wrong one costs no time. A job that fails is
    listed with its reason and stops no other. Jobs of one `run=` get a number behind its name; where they do not run
    one after the other they must have one (ConfigError).
    """
    jobs = [replace(call, words=tuple(words)) for words in numbered(combinations(call.words))]
    for job in jobs:
        compose(job.words)
    fixed = {*call.words, *(f"run={_name(job.words)}" for job in jobs)}
    changed = [" ".join(word for word in job.words if word not in fixed) for job in jobs]
    if launcher.name == BASIC:
        rows = _one_by_one(jobs, changed, command)
    else:
        rows = _launched(jobs, changed, launcher)
    _print(rows)
    return max(row[0] for row in rows)


def _one_by_one(jobs: Sequence[Call], changed: Sequence[str], command: Callable[[Call], int]) -> list[Row]:
    rows = []
    for number, (job, words) in enumerate(zip(jobs, changed, strict=True), start=1):
        print(f"--- {number} of {len(jobs)}: {words}", file=sys.stderr)
        began = time.monotonic()
        code, reason = _run(job, command)
        rows.append((code, words, _run_of(job.words), duration(time.monotonic() - began), reason))
    return rows


def _launched(jobs: Sequence[Call], changed: Sequence[str], launcher: Launcher) -> list[Row]:
    names = [_name(job.words) for job in jobs]
    if len(jobs) > 1 and not all(names):
        raise ConfigError(
            f"Jobs that run at the same time need runs of their own, but got hydra/launcher={launcher.name} without "
            "run=; give run=NAME, which gets a number for each job."
        )
    folder = logs_folder()
    outcomes = launch(launcher, [_line(job) for job in jobs], folder)
    print(f"{len(jobs)} jobs by {launcher.name}; what they say is in {folder}.", file=sys.stderr)
    rows = []
    for words, name, outcome in zip(changed, names, outcomes, strict=True):
        reason = "done" if outcome.code == 0 else outcome.last.removeprefix("msnas: ") or f"exit code {outcome.code}"
        rows.append((outcome.code, words, name, duration(outcome.seconds), reason))
        print(f"--- {len(rows)} of {len(jobs)}: {words}: {reason}", file=sys.stderr)
    return rows


def _line(job: Call) -> list[str]:
    """The command line of a job."""
    flags = [flag for flag, on in (("--json", job.json), ("--estimate", job.estimate)) if on]
    return [job.command, *job.positionals, *job.words, *flags]


def _name(words: Sequence[str]) -> str:
    return next((word.partition("=")[2] for word in words if word.startswith("run=")), "")


def _run(call: Call, command: Callable[[Call], int]) -> tuple[int, str]:
    try:
        code = int(command(call))
    except (UserError, SpaceError, StrategyError) as error:
        return 1 if isinstance(error, DataError) else 2, str(error)
    except OSError as error:
        if error.errno not in DISK:
            raise
        return 2, disk_fault(error)
    return code, "done" if code == 0 else f"exit code {code}"


def numbered(jobs: list[list[str]]) -> list[list[str]]:
    """A name that several jobs share gets a number behind it."""
    shared = [name for name, times in Counter(map(_name, jobs)).items() if times > 1]
    return [
        [f"{word}-{number}" if word.startswith("run=") and _name(words) in shared else word for word in words]
        for number, words in enumerate(jobs, start=1)
    ]


def _run_of(words: Sequence[str]) -> str:
    """The run that a job just worked on."""
    config = compose(words)
    folders = newest(Path(config.runs_root))
    return str(config.run or (folders[0].name if folders else ""))


def _print(rows: Sequence[Row]) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("job", "options", "run", "time", "result"):
        table.add_column(title)
    for number, (_, *columns) in enumerate(rows, start=1):
        table.add_row(str(number), *columns)
    Console().print(table)
