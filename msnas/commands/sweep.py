"""`msnas STAGE --multirun seed=0,1 ...`: one job after the other, and a table of what became of each."""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from evolution.errors import StrategyError
from msnas.call import Call
from msnas.config.compose import compose
from msnas.config.hydra_words import combinations
from msnas.errors import DataError, UserError
from msnas.runs.folder import newest
from msnas.runs.progress import duration
from supernet.errors import SpaceError


def sweep(call: Call, command: Callable[[Call], int]) -> int:
    """Give every combination of the words' values to `command`; returns the highest exit code.

    Every job's words are composed before the first begins, so that a wrong one costs no time. A job that fails is
    listed with its reason and stops no other. Jobs of one `run=` get a number behind its name.
    """
    jobs = _named(combinations(call.words))
    for words in jobs:
        compose(words)
    rows = []
    for number, words in enumerate(jobs, start=1):
        changed = [word for word in words if word not in call.words]
        print(f"--- {number} of {len(jobs)}: {' '.join(changed)}", file=sys.stderr)
        began = time.monotonic()
        code, reason = _run(Call(call.command, call.positionals, tuple(words), call.json), command)
        rows.append((code, " ".join(changed), _run_of(words), duration(time.monotonic() - began), reason))
    _print(rows)
    return max(row[0] for row in rows)


def _run(call: Call, command: Callable[[Call], int]) -> tuple[int, str]:
    try:
        code = int(command(call))
    except (UserError, SpaceError, StrategyError) as error:
        return 1 if isinstance(error, DataError) else 2, str(error)
    return code, "done" if code == 0 else f"exit code {code}"


def _named(jobs: list[list[str]]) -> list[list[str]]:
    """A name that several jobs share gets a number behind it."""
    names = [[word for word in words if word.startswith("run=")] for words in jobs]
    if len(jobs) < 2 or not names[0] or len({name[0] for name in names}) > 1:
        return jobs
    return [
        [f"{word}-{number}" if word.startswith("run=") else word for word in words]
        for number, words in enumerate(jobs, start=1)
    ]


def _run_of(words: Sequence[str]) -> str:
    """The run that a job just worked on."""
    config = compose(words)
    folders = newest(Path(config.runs_root))
    return str(config.run or (folders[0].name if folders else ""))


def _print(rows: Sequence[tuple[int, str, str, str, str]]) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("job", "options", "run", "time", "result"):
        table.add_column(title)
    for number, (_, *columns) in enumerate(rows, start=1):
        table.add_row(str(number), *columns)
    Console().print(table)
