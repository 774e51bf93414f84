"""What the benches share: works that take turns in one run, the spread of what they took, and a table of it."""

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from msnas.engine.devices import Hardware, describe
from msnas.engine.machine import cores

Clock = Callable[[], float]
HEADER = "| row | first | second | unit | first / second: median (least to most) | target | kept |\n" + 7 * "|---" + "|"


def in_turn(
    works: Mapping[str, Callable[[], Any]], rounds: int, *, warm: int = 1, clock: Clock = time.process_time
) -> dict[str, list[float]]:
    """Seconds of each of `works` in each of `rounds` rounds, in which they take turns; `warm` rounds before.

    CPU seconds by default, which a busy machine disturbs less than the clock on the wall.
    """
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(warm + rounds):
        for name, work in works.items():
            began = clock()
            work()
            if turn >= warm:
                seconds[name].append(clock() - began)
    return seconds


def spread(values: Sequence[float], digits: int = 3) -> str:
    """Median, least and most."""
    figures = (statistics.median(values), min(values), max(values))
    middle, least, most = (f"{value:.{digits}g}" if abs(value) < 1000 else f"{value:,.0f}" for value in figures)
    return f"{middle} ({least} to {most})"


@dataclass(frozen=True)
class Target:
    """What a median has to keep: of the ratios, of the `first` values, or of the `difference` first - second."""

    limit: float
    kind: Literal["<=", ">="] = "<="
    of: Literal["ratio", "first", "difference"] = "ratio"

    def __str__(self) -> str:
        return f"{'' if self.of == 'ratio' else f'{self.of} '}{self.kind} {self.limit:g}"


@dataclass(frozen=True)
class Row:
    """Two things measured in turn: names and values of equal length, `first` beside `second`, of the same rounds."""

    name: str
    first: tuple[str, Sequence[float]]
    second: tuple[str, Sequence[float]]
    unit: str = "CPU s"
    target: Target | None = None

    @property
    def ratios(self) -> list[float]:
        """first / second of each round; both are counts where the second is 0, and then nothing is said."""
        return [a / b for a, b in zip(self.first[1], self.second[1], strict=True) if b]

    @property
    def kept(self) -> bool | None:
        """Whether the target is kept; None without one."""
        if self.target is None:
            return None
        differences = [a - b for a, b in zip(self.first[1], self.second[1], strict=True)]
        values = {"ratio": self.ratios, "first": self.first[1], "difference": differences}[self.target.of]
        median = statistics.median(values)
        return median <= self.target.limit if self.target.kind == "<=" else median >= self.target.limit

    def __str__(self) -> str:
        kept = {None: "", True: "yes", False: "**no**"}[self.kept]
        sides = [f"{name}: {spread(values)}" for name, values in (self.first, self.second)]
        ratio = spread(self.ratios) if self.ratios else "-"
        return f"| {self.name} | {' | '.join(sides)} | {self.unit} | {ratio} | {self.target or ''} | {kept} |"


def ratio_row(
    name: str, seconds: Mapping[str, Sequence[float]], first: str, second: str, target: Target | None = None, **of: str
) -> Row:
    """The row of two of the works that took turns."""
    return Row(name, (first, seconds[first]), (second, seconds[second]), target=target, **of)


def medians(seconds: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Of each work."""
    return {name: statistics.median(values) for name, values in seconds.items()}


def machine() -> str:
    """The line under a table: commit, processor, cores, versions."""
    known = describe(Hardware())
    commit = known["commit"]
    where = f"{known['cpu']}, {cores()} cores, {torch.get_num_threads()} thread(s) a process"
    card = f"; {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    shown = commit[:7] + commit[40:] if commit else "unknown"
    return f"Commit {shown}; {where}{card}; Python {platform.python_version()}, torch {torch.__version__}."


def words_of_rows(rows: Iterable[str], description: str) -> argparse.ArgumentParser:
    """The command line of a table: which rows, whether only to name them, whether at a tiny size."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(rows))
    parser.add_argument("--list", action="store_true", help="name the rows and run none")
    parser.add_argument("--tiny", action="store_true", help="only show that a row runs")
    return parser


def by_name(rows: Mapping[str, Any], wanted: Iterable[str]) -> list[str]:
    """The rows that were asked for, all of them where none was; ends with a line where one does not exist."""
    chosen = list(wanted) or list(rows)
    if unknown := [name for name in chosen if name not in rows]:
        raise SystemExit(f"A row must be one of {', '.join(rows)}, but got {', '.join(unknown)}.")
    return chosen
