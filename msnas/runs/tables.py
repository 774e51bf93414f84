"""Tables for the terminal, of the same numbers that the run folder holds."""

import io
from typing import Any

from rich.console import Console
from rich.table import Table

_COLUMNS = (("ap", "AP"), ("ap50", "AP50"), ("ap_small", "APs"), ("ap_medium", "APm"), ("ap_large", "APl"))


def render(table: dict[str, Any], width: int = 150, *, by_loss: bool = False) -> str:
    """The retrained networks, best AP first; AP in percent on the reported split. by_loss: the scores are rewards."""
    score = "reward" if by_loss else "one-shot"
    grid = Table(box=None, header_style="bold", pad_edge=False)
    grid.add_column("network")
    grid.add_column("architecture", overflow="fold")
    starts = any(row.get("start", "scratch") != "scratch" for row in table["rows"])
    if starts:
        grid.add_column("start, steps")
    for title in ("MACs", "params", *(title for _, title in _COLUMNS), score):
        grid.add_column(title, justify="right")
    for row in table["rows"]:
        spread = "" if row.get("ap_spread") is None else f" ± {100 * row['ap_spread']:.1f}"
        numbers = [percent(row[key]) + (spread if key == "ap" else "") for key, _ in _COLUMNS]
        grid.add_row(
            row["name"],
            row["architecture"],
            *([f"{row['start']}, {row['steps']:,}"] if starts else []),
            amount(row["macs"]),
            amount(row["params"]),
            *numbers,
            reward(row["one_shot"]) if by_loss else percent(row["one_shot"]),
        )
    text = text_of(grid, width)
    return text + tau_line(table["tau"], table["tau_points"], score) if table["tau_points"] else text.rstrip()


def text_of(grid: Table, width: int) -> str:
    """The grid as lines of at most `width` characters."""
    file = io.StringIO()
    Console(file=file, width=width).print(grid)
    return file.getvalue()


def tau_line(tau: float | None, points: int, score: str = "one-shot") -> str:
    """What the agreement of the search's and stand-alone scores says, and how little it says of few points."""
    if points < 3 or tau is None:
        return f"Kendall's tau of {score} against stand-alone AP needs 3 different points, here are {points}."
    caution = "; too few to trust (16 or more are needed)" if points < 16 else ""
    return f"Kendall's tau of {score} against stand-alone AP: {tau:.3f} over {points} networks{caution}."


def percent(value: float | None) -> str:
    """A share as percent with one decimal; `-` where there is none (pycocotools: -1)."""
    return "-" if value is None or value < 0 else f"{100 * value:.1f}"


def reward(value: float | None) -> str:
    """Minus a loss, as it is; `-` where there is none."""
    return "-" if value is None else f"{value:.4f}"


def amount(value: float) -> str:
    """A large number with its unit: 145.8 G, 12.3 M."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.2f} {unit}" if value < 100 * size else f"{value / size:.1f} {unit}"
    return f"{value:g}"
