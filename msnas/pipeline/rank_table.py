"""What a ranking is worth: Kendall's tau of each score against stand-alone AP, beside controls and a bound.

MSNAS, Table 4, with intervals: twenty-odd networks leave much to chance, and the table says how much. The AP of a
network is the mean of its trainings; how well two trainings agree, the reliability, bounds what any score can reach.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from math import comb, isnan, nan
from statistics import fmean
from typing import Any

from rich.table import Table

from evolution.ranking import (
    LEVEL,
    Draws,
    Values,
    bootstrap,
    grouped_tau,
    grouped_taus,
    mean_of_known,
    tau_bound,
)
from msnas.runs.tables import percent, text_of

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
RELIABILITY = "standalone"
HALF = "half"
OTHERS = {
    RELIABILITY: "reliability: one training against another seed's",
    HALF: "half the schedule against the full one",
}
ENOUGH = 16  # networks below which there is no verdict
LITTLE = 0.1  # of the AP: trunks that carry less have hardly begun to learn
ALIKE = 4  # networks with the same heads below which they are no group

Row = dict[str, Any]
Column = Sequence[float]  # by network, nan where nothing is known
Groups = Sequence[Sequence[int]]


def make_table(results: Sequence[Mapping[str, Any]], *, own: str, top_k: int) -> dict[str, Any]:
    """One row a score: tau against stand-alone AP in all and within the same heads, intervals, regret of `top_k`.

    results: of each network `scores` (by recipe and RANDOM), `standalone` (AP by seed), `macs`, `params`,
    `anchor_recall`, `mean_stride`, and where they are known `standalone_half` (AP by seed after half the schedule),
    `without_residuals` (AP by seed without the residual branches) and `heads` (text); None for what failed. own: the
    recipe of the search, which the verdict is on.
    """
    columns = _columns(results)
    trainings = [_column(seed) for seed in zip(*(result["standalone"] for result in results), strict=True)]
    truth = _column(_mean(result["standalone"]) for result in results)
    compared = {name: [(column, truth)] for name, column in columns.items()}
    compared[RELIABILITY] = [(second, first) for first, second in combinations(trainings, 2)]
    halves = _column(_mean(result.get("standalone_half") or ()) for result in results)
    if not all(map(isnan, halves)):
        compared[HALF] = [(halves, truth)]
    everything, alike = [range(len(results))], _same_heads(results)
    rows = [_row(name, pairs, everything, alike, top_k) for name, pairs in compared.items() if pairs]
    by_name = {row["name"]: row for row in rows}
    known = [ap for ap in truth if not isnan(ap)]
    verdict = _verdict(own, columns, truth, by_name, everything)
    if alike:
        verdict["within"] = _verdict(own, columns, truth, {n: row["within"] for n, row in by_name.items()}, alike)
    reliability = by_name.get(RELIABILITY, {})
    return {
        "networks": len(results),
        "trained": len(known),
        "trainings": len(trainings),
        "top_k": top_k,
        "own": own,
        "rows": rows,
        "bound": tau_bound(reliability.get("tau"), len(trainings)),
        "bound_within": tau_bound(reliability.get("within", {}).get("tau"), len(trainings)),
        "best_ap": max(known, default=None),
        "trunk": _carried(results),
        "regret_of_chance": _regret_of_chance(known, top_k),
        "verdict": verdict,
    }


def _columns(results: Sequence[Mapping[str, Any]]) -> dict[str, Column]:
    columns = {name: _column(result["scores"][name] for result in results) for name in RECIPES}
    columns |= {name: _column(result[name] for result in results) for name in ("macs", "params", "anchor_recall")}
    columns["fineness"] = _column(-result["mean_stride"] for result in results)
    columns[RANDOM] = _column(result["scores"][RANDOM] for result in results)
    return columns


def _column(values: Iterable[float | None]) -> Column:
    return [nan if value is None else float(value) for value in values]


def _mean(values: Sequence[float | None]) -> float | None:
    """Of those that are known."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _carried(results: Sequence[Mapping[str, Any]]) -> Row | None:
    """The mean AP of all trainings, and what of it the residual branches carry; None where that is not known."""
    pairs = [(result["standalone"], result.get("without_residuals", [])) for result in results]
    seeds = [seed for whole, left in pairs for seed in zip(whole, left, strict=False)]
    known = [(whole, left) for whole, left in seeds if whole is not None and left is not None]
    if not known:
        return None
    return {"ap": fmean(whole for whole, _ in known), "carried": fmean(whole - left for whole, left in known)}


def _same_heads(results: Sequence[Mapping[str, Any]]) -> Groups:
    """The groups of at least ALIKE networks with the same heads; [] where the heads are not told."""
    groups: dict[str, list[int]] = {}
    for index, result in enumerate(results):
        if result.get("heads"):
            groups.setdefault(result["heads"], []).append(index)
    return [group for group in groups.values() if len(group) >= ALIKE]


def _row(name: str, pairs: Sequence[tuple[Column, Column]], everything: Groups, alike: Groups, top_k: int) -> Row:
    """`within` is the mean tau within groups of the same heads, where there are any."""
    kind = "recipe" if name in RECIPES else "control" if name in CONTROLS else "reliability"
    row = {"name": name, "kind": HALF if name == HALF else kind, **_agreement(pairs, everything)}
    values, truth = pairs[0]
    rows = _known(everything, values, truth)[0]
    row["regret"] = _regret([values[i] for i in rows], [truth[i] for i in rows], top_k)
    return row | ({"within": _agreement(pairs, alike, fewest=ALIKE)} if alike else {})


def _agreement(pairs: Sequence[tuple[Column, Column]], groups: Groups, fewest: int = 0) -> Row:
    """The mean tau within groups, of several pairs of columns the mean, with its bootstrap interval."""
    known = [rows for rows in _known(groups, *(column for pair in pairs for column in pair)) if len(rows) >= fewest]

    def statistic(draws: Draws) -> Values:
        return mean_of_known([grouped_taus(first, second, draws) for first, second in pairs])

    tau = _mean([grouped_tau(first, second, known) for first, second in pairs])
    cell = {"points": sum(map(len, known)), "tau": tau, "interval": bootstrap(known, statistic)}
    return cell | ({"groups": len(known)} if fewest else {})


def _known(groups: Groups, *columns: Column) -> list[list[int]]:
    """The groups without the networks that one of the columns says nothing of."""
    return [[i for i in rows if not any(isnan(column[i]) for column in columns)] for rows in groups]


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
    own: str, columns: Mapping[str, Column], truth: Column, cells: Mapping[str, Row], groups: Groups
) -> dict[str, Any]:
    """Whether the search's score ranks at all, and better than the control that agrees most with the AP."""
    cell = cells[own]
    if cell["points"] < ENOUGH:
        return {
            "given": False,
            "text": f"No verdict: {cell['points']} networks are too few, {ENOUGH} or more are needed.",
        }
    if cell["tau"] is None or cell["interval"] is None:
        return {"given": False, "text": f"No verdict: too many networks have the same score ({own}) or the same AP."}
    ranks = cell["interval"][0] > 0
    told = f"The search's score ({own}) {'ranks' if ranks else 'cannot be told from chance'}: {_tau_text(cell)}"
    verdict = {"given": True, "ranks": ranks, "text": f"{told}."}
    controls = [name for name in CONTROLS if cells[name]["tau"] is not None]
    if not controls:
        return verdict
    best = max(controls, key=lambda name: abs(cells[name]["tau"]))
    known = _known(groups, columns[own], columns[best], truth)
    gain = _gain_interval(columns[own], columns[best], truth, known)
    beats = gain is not None and gain[0] > 0
    against = "it beats the best control" if beats else "it cannot be told from the best control"
    text = f"{told}; {against}, {CONTROLS[best]} ({cells[best]['tau']:.2f})."
    return verdict | {"control": best, "gain": gain, "beats_controls": beats, "text": text}


def _gain_interval(own: Column, control: Column, truth: Column, groups: Groups) -> tuple[float, float] | None:
    """The bootstrap's interval of tau(own) - |tau(control)|, both over the same networks."""
    direction = 1 if (grouped_tau(control, truth, groups) or 1) > 0 else -1

    def gain(draws: Draws) -> Values:
        return grouped_taus(own, truth, draws) - direction * grouped_taus(control, truth, draws)

    return bootstrap(groups, gain)


def render(table: Mapping[str, Any], width: int = 120) -> str:
    """The table for the terminal, with the verdict below."""
    grid = Table(box=None, header_style="bold", pad_edge=False)
    grid.add_column("score")
    within = any("within" in row for row in table["rows"])
    titles = ["tau-b", f"{LEVEL:.0%} interval", "networks", f"regret of top {table['top_k']}, AP"]
    for title in (*titles, *(["tau within heads"] if within else [])):
        grid.add_column(title, justify="right")
    for row in table["rows"]:
        cells = *_tau_cells(row), str(row["points"]), percent(row["regret"])
        grid.add_row(label(row), *cells, *([_within_cell(row["within"])] if within else []))
    grid.add_row("drawn by chance", "0.00", "", "", percent(table["regret_of_chance"]))
    best = f"Best stand-alone AP of {table['trained']} trained networks: {percent(table['best_ap'])}."
    return "\n".join([text_of(grid, width) + best, *notes(table)])


def notes(table: Mapping[str, Any]) -> list[str]:
    """What the table amounts to, in sentences: the bound, and the verdict in all and within the same heads."""
    told = [table["verdict"]["text"]]
    if "within" in table["verdict"]:
        told.append(f"Within the same heads: {_uncapital(table['verdict']['within']['text'])}")
    if table.get("bound") is not None:
        within = table.get("bound_within")
        told.append(
            f"A perfect score's tau would be about {table['bound']:.2f}"
            f"{'' if within is None else f', within the same heads {within:.2f}'}: the AP is the mean of "
            f"{table['trainings']} trainings, as noisy as their reliability says (Spearman's attenuation)."
        )
    if table.get("updates"):
        told.append(table["updates"])
    if trunk := table.get("trunk"):
        told.append(
            f"By removing the residual branches: trunks carry {100 * trunk['carried']:.1f} of {100 * trunk['ap']:.1f} "
            f"AP in the mean{'' if trunk['carried'] >= LITTLE * trunk['ap'] else ': train longer'}."
        )
    return told


def _uncapital(text: str) -> str:
    return text[0].lower() + text[1:]


def label(row: Row) -> str:
    """What a row of the table is called."""
    if row["kind"] == "recipe":
        return f"{row['name']}: {RECIPES[row['name']]}"
    return f"control: {CONTROLS[row['name']]}" if row["kind"] == "control" else OTHERS[row["name"]]


def _tau_cells(row: Row) -> tuple[str, str]:
    tau, interval = row["tau"], row["interval"]
    return (
        "-" if tau is None else f"{tau:.2f}",
        "-" if interval is None else f"{interval[0]:.2f} to {interval[1]:.2f}",
    )


def _within_cell(cell: Row) -> str:
    tau, interval = _tau_cells(cell)
    return "-" if cell["tau"] is None else f"{tau} ({interval})"


def _tau_text(row: Row) -> str:
    tau, interval = _tau_cells(row)
    groups = f" in {row['groups']} groups" if row.get("groups", 1) > 1 else ""
    return f"tau {tau} ({interval}) over {row['points']} networks{groups}"
