"""How far a long stage is: a bar in a terminal, plain lines in a log file, and a small file for `msnas status`."""

import json
import os
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar

from msnas.files import written

LINE_EVERY = 15.0  # seconds between plain lines where the output is no terminal
STATUS_EVERY = 2.0  # seconds between writes of status.json


class Progress:
    """Counts steps of one stage; knows the rate of this process and the time left.

    label: what is counted, such as "supernet". status: the file that another terminal reads, or None.
    quiet: say nothing (processes that work for another one). side_by_side: steps that are made at a time.
    """

    def __init__(
        self, label: str, total: int, *, status: Path | None = None, quiet: bool = False, side_by_side: int = 1
    ) -> None:
        self.label, self.total, self.status, self.quiet = label, total, status, quiet
        self.side_by_side = min(side_by_side, total)
        self._first: int | None = None  # where a resumed stage stood already
        self._began = self._counts_from = time.monotonic()
        self._last_line = self._last_status = 0.0
        self._bar: Bar | None = None
        if Console(stderr=True).is_terminal and not quiet:
            columns = (
                TextColumn("{task.description:>10}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[text]}"),
            )
            self._bar = Bar(*columns, console=Console(stderr=True))
            self._task = self._bar.add_task(label, total=total, text="")
            self._bar.start()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, done: int, text: str = "", *, seconds: float | None = None) -> None:
        """Say that `done` of `total` steps are finished; `text` is shown beside rate and time left.

        seconds: that this step took; by the first one the rate leaves out what came before, such as workers' start.
        """
        now = time.monotonic()
        if self._first is None:
            self._first = done - 1
            if seconds is not None:
                self._counts_from = max(self._began, now - seconds)
        rate = self._made(done - self._first) / max(now - self._counts_from, 1e-9)
        left = (self.total - done) / rate if rate > 0 else float("nan")
        line = f"{rate_text(rate)}, {duration(left)} left{f'  {text}' if text else ''}"
        last = done >= self.total
        if self._bar is not None:
            self._bar.update(self._task, completed=done, text=line)
        elif not self.quiet and (last or now - self._last_line > LINE_EVERY):
            self._last_line = now
            sys.stderr.write(f"{self.label} {done}/{self.total}  {line}\n")
            sys.stderr.flush()
        if self.status is not None and (last or now - self._last_status > STATUS_EVERY):
            self._last_status = now
            self._write_status(done, rate, left)

    def _made(self, finished: int) -> float:
        """Steps' worth of work that is done: of those that are made beside the last one, half on the average."""
        others = self.side_by_side - 1
        return max(finished + others / 2, self.side_by_side if finished else 0)

    def _write_status(self, done: int, rate: float, left: float) -> None:
        assert self.status is not None
        content = {"stage": self.label, "done": done, "total": self.total, "rate": rate, "pid": os.getpid()}
        content |= {"began": time.time() - (time.monotonic() - self._began), "updated": time.time()}
        content["left"] = None if left != left else left
        with written(self.status, sync=False) as partial:
            partial.write_text(json.dumps(content))


def rate_text(rate: float) -> str:
    """A rate as `3.2/s`, or as seconds a step when that reads better."""
    if rate <= 0:
        return "starting"
    return f"{rate:.1f}/s" if rate >= 1 else f"{1 / rate:.1f} s each"


def duration(seconds: float) -> str:
    """Seconds as `45 s`, `12 min` or `3.5 h`; `?` where it is not known."""
    if seconds != seconds:
        return "?"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
