"""What a ranking is worth: Kendall's tau of each score against stand-alone AP, beside controls and the ceiling.

MSNAS, Table 4, with intervals: twenty-odd networks leave much to chance, and the table says how much.
"""

import io
from collections.abc import Mapping, Sequence
from math import comb
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from evolution.ranking import LEVEL, RESAMPLES, kendall_tau, tau_interval
from msnas.runs.tables import percent

RECIPES = {
    "raw": "supernet's weights as they are",
    "bn": "statistics re-estimated",
    "finetune": "finetuned",
    "bn+finetune": "finetuned, statistics re-estimated",
}
RANDOM = "random"
CONTROLS = {
    "macs": "MACs",
    "params": "parameters",
    "anchor_recall": "anchor recall of the heads",
    "fineness": "mean stride, finest first",
    RANDOM: "the same finetune from random weights",
}
CEILING = "standalone"
ENOUGH = 16  # networks below which there is no verdict

Row = dict[str, Any]


def make_table(results: Sequence[Mapping[str, Any]], *, own: str, top_k: int) -> dict[str, Any]:
    """One row a score: tau against the first stand-alone AP, its interval, regret of its best `top_k`.

    results: of each network `scores` (by recipe and RANDOM), `standalone` (AP by seed), `macs`, `params`,
    `anchor_recall`, `mean_stride`; None for what failed. own: the recipe of the search, which the verdict is on.
    """
    columns = {name: [result["scores"][name] for result in results] for name in (*RECIPES, RANDOM)}
    columns |= {name: [result[name] for result in results] for name in ("macs", "params", "anchor_recall")}
    columns["fineness"] = [-result["mean_stride"] for result in results]
    truth, columns[CEILING] = ([result["standalone"][seed] for result in results] for seed in (0, 1))
    known = [ap for ap in truth if ap is not None]
    rows = [_row(name, _kind(name), columns[name], truth, top_k) for name in (*RECIPES, *CONTROLS, CEILING)]
    table = {"networks": len(results), "trained": len(known), "top_k": top_k, "own": own, "rows": rows}
    table["best_ap"] = max(known, default=None)
    table["regret_of_chance"] = _regret_of_chance(known, top_k)
    return table | {"verdict": _verdict(own, columns, truth, {row["name"]: row for row in rows})}


def _kind(name: str) -> str:
    return "recipe" if name in RECIPES else "control" if name in CONTROLS else "ceiling"


def _row(name: str, kind: str, values: Sequence[float | None], truth: Sequence[float | None], top_k: int) -> Row:
    first, second = _pairs(values, truth)
    row = {"name": name, "kind": kind, "points": len(first), "tau": kendall_tau(first, second)}
    return row | {"interval": tau_interval(first, second), "regret": _regret(first, second, top_k)}


def _pairs(*columns: Sequence[float | None]) -> list[list[float]]:
    """The columns without the networks that one of them says nothing of."""
    rows = [row for row in zip(*columns, strict=True) if None not in row]
    return [[float(row[i]) for row in rows] for i in range(len(columns))]


def _regret(values: Sequence[float], truth: Sequence[float], top_k: int) -> float | None:
    """Best AP of all less the best AP among the `top_k` of the highest values."""
    if not truth:
        return None
    best = sorted(range(len(values)), key=lambda i: -values[i])[:top_k]
    return max(truth) - max(truth[i] for i in best)


def _regret_of_chance(truth: Sequence[float], top_k: int) -> float | None:
    """The mean regret of `top_k` networks drawn uniformly: the i-th best is the best drawn with known chance."""
    n, k = len(truth), min(top_k, len(truth))
    if not n:
        return None
    falling = sorted(truth, reverse=True)
    return falling[0] - sum(ap * comb(n - 1 - i, k - 1) for i, ap in enumerate(falling)) / comb(n, k)


def _verdict(
    own: str, columns: Mapping[str, Sequence[float | None]], truth: Sequence[float | None], rows: Mapping[str, Row]
) -> dict[str, Any]:
    """Whether the search's score ranks at all, and better than the control that agrees most with the AP."""
    row = rows[own]
    if row["points"] < ENOUGH:
        return {
            "given": False,
            "text": f"No verdict: {row['points']} networks are too few, {ENOUGH} or more are needed.",
        }
    if row["tau"] is None or row["interval"] is None:
        return {"given": False, "text": f"No verdict: too many networks have the same score ({own}) or the same AP."}
    ranks = row["interval"][0] > 0
    told = f"The search's score ({own}) {'ranks' if ranks else 'cannot be told from chance'}: {_tau_text(row)}"
    verdict = {"given": True, "ranks": ranks, "text": f"{told}."}
    controls = [rows[name] for name in CONTROLS if rows[name]["tau"] is not None]
    if not controls:
        return verdict
    best = max(controls, key=lambda control: abs(control["tau"]))
    gain = _gain_interval(*_pairs(columns[own], columns[best["name"]], truth))
    beats = gain is not None and gain[0] > 0
    against = "it beats the best control" if beats else "it cannot be told from the best control"
    text = f"{told}; {against}, {CONTROLS[best['name']]} ({best['tau']:.2f})."
    return verdict | {"control": best["name"], "gain": gain, "beats_controls": beats, "text": text}


def _gain_interval(
    own: Sequence[float], control: Sequence[float], truth: Sequence[float]
) -> tuple[float, float] | None:
    """The bootstrap's interval of tau(own) - |tau(control)|, both over the same networks."""
    direction = np.sign(kendall_tau(control, truth) or 1)
    rng = np.random.default_rng(0)
    gains = []
    for rows in rng.integers(0, len(truth), (RESAMPLES, len(truth))).tolist():
        ap = [truth[i] for i in rows]
        ours, theirs = kendall_tau([own[i] for i in rows], ap), kendall_tau([control[i] for i in rows], ap)
        if ours is not None and theirs is not None:
            gains.append(ours - direction * theirs)
    if len(gains) < RESAMPLES / 2:
        return None
    low, high = np.quantile(gains, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def render(table: Mapping[str, Any], width: int = 120) -> str:
    """The table for the terminal, with the verdict below."""
    grid = Table(box=None, header_style="bold", pad_edge=False)
    grid.add_column("score")
    for title in ("Kendall's tau-b", f"{LEVEL:.0%} interval", "networks", f"regret of top {table['top_k']}, AP"):
        grid.add_column(title, justify="right")
    for row in table["rows"]:
        grid.add_row(label(row), *_tau_cells(row), str(row["points"]), percent(row["regret"]))
    grid.add_row("drawn by chance", "0.00", "", "", percent(table["regret_of_chance"]))
    console = Console(file=io.StringIO(), width=width)
    console.print(grid)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    best = f"Best stand-alone AP of {table['trained']} trained networks: {percent(table['best_ap'])}."
    return f"{text}{best}\n{table['verdict']['text']}"


def label(row: Row) -> str:
    """What a row of the table is called."""
    if row["kind"] == "recipe":
        return f"{row['name']}: {RECIPES[row['name']]}"
    return f"control: {CONTROLS[row['name']]}" if row["kind"] == "control" else "ceiling: trained with another seed"


def _tau_cells(row: Row) -> tuple[str, str]:
    tau, interval = row["tau"], row["interval"]
    return (
        "-" if tau is None else f"{tau:.2f}",
        "-" if interval is None else f"{interval[0]:.2f} to {interval[1]:.2f}",
    )


def _tau_text(row: Row) -> str:
    tau, interval = _tau_cells(row)
    return f"tau {tau} ({interval}) over {row['points']} networks"
