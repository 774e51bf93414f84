"""The sentences, cards and bars of a page, from its data alone: question, answer, and how sure it is."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from msnas.drawings import palette
from msnas.pipeline.branch_updates import updates_sentence
from msnas.pipeline.rank_table import notes
from msnas.report.gain import gain_rows
from msnas.report.numbers import ap, duration, macs, number, score, signed
from msnas.report.run_data import Record
from msnas.report.size_recall import size_recalls
from msnas.report.sizes import sizes_sentence
from msnas.report.spread import deviation, mean, standard_error
from msnas.report.start_weights import weights_sentence
from msnas.report.trunk_share import residuals_sentence
from msnas.report.verdicts import sentence, short
from msnas.runs.state import StageState
from msnas.runs.tables import tau_line
from msnas.setup.options import OTHER_START, SUPERNET


@dataclass(frozen=True)
class Card:
    """One large number: what it is, the number, what to know about it."""

    over: str
    number: str
    under: str
    colour: str


def run_context(data: Record) -> Record:
    """What the templates say about one run; `data` is its `page_data`."""
    winners = [row for row in data["networks"] if not row["baseline"]]
    winner = winners[0] if winners else None
    fpn = next((row for row in data["networks"] if row["fpn"]), None)
    return {
        "data": data,
        "question": _unbroken(_question(data)),
        "answer": _unbroken(_answer(data, winner, fpn)),
        "cards": _cards(data, winner, fpn),
        "missing": [stage for stage in data["stages"] if stage["state"] != StageState.COMPLETE],
        "mean": _mean(winners),
        "starts": any(_from_supernet(row) for row in data["networks"]),
        "sized": sizes_sentence(data["sizes"]),
        "size_verdicts": {row["name"]: short(row["intervals"].get("difference")) for row in data["sizes"]},
        "size_starts": any(_from_supernet(row) for row in data["sizes"]),
        "several_seeds": any(row["seeds"] > 1 for row in data["networks"]),
        "caveat": _caveat(data["networks"]),
        "verdicts": {row["name"]: short(row["intervals"].get("difference")) for row in data["networks"]},
        "gain": [{**row, "verdict": short(row["interval"])} for row in gain_rows(data["networks"])],
        "residuals": residuals_sentence(data["networks"]),
        "weights": weights_sentence(data["networks"]),
        "size_recalls": size_recalls(data["networks"]),
        "searched": _searched(data),
        "operators": _operators(data),
        "failed": sum(e["status"] != "ok" for e in data["evaluations"]),
        "inside": _inside(data),
        "image_errors": any(row.get("image_error") is not None for row in data["winners"]),
        "runner_up": _runner_up(data),
        "updates": updates_sentence(data["updates"]),
        "rank_notes": notes(data["rank"]) if data["rank"] else [],
        "tau": _tau(data["tau"], "reward" if data["score"]["is_loss"] else "one-shot"),
        "supernet_curve": any(c["name"] == "supernet" for c in data["curves"]),
        "retrain_curves": any(c["name"] != "supernet" for c in data["curves"]),
        "times": _times(data),
        "time_note": _time_note(data),
        "commands": [
            {**command, "began": command["began"][:16].replace("T", " ")}
            for command in data["environment"].get("commands", [])
        ],
        "machine": _machine(data["environment"]),
        "row": _row(data, winner, fpn),
    }


def _question(data: Record) -> str:
    budget = data["budget"]
    if budget is None:
        return f"Which detector of the space {data['space']['name']} finds the objects of {data['data']} best?"
    target, high = (_amount(budget[key], budget["metric"]) for key in ("target", "high"))
    if budget["low"] > 0:
        tolerance = 100 * (budget["high"] / budget["target"] - 1)
        around = f"within {tolerance:.2g} % of {target}"
    else:
        around = f"of at most {high}"
    return f"Which detector {around} finds the objects of {data['data']} best?"


def _unbroken(text: str) -> str:
    """The same with numbers and units kept on one line."""
    return re.sub(r"(?<=[\d±]) (?=%|[GM]MACs|M param|\d)", "\N{NO-BREAK SPACE}", text)


def _amount(value: float, metric: str) -> str:
    return f"{macs(value)}MACs" if metric == "macs" else f"{value / 1e6:.2f} M parameters"


def _answer(data: Record, winner: Record | None, fpn: Record | None) -> str:
    if winner is None and not data["winners"]:
        rows = data["best_so_far"]
        so_far = f" The best candidate so far has a {_scored(data, rows[-1]['best'])}." if rows else ""
        return f"Not known yet: the search has not finished.{so_far}"
    if winner is None and data["sizes"]:
        return sizes_sentence(data["sizes"])
    if winner is None:
        best = data["winners"][0]
        return (
            f"The search puts {best['architecture']} first, with a {_scored(data, best['score'])}. "
            "What it reaches when it is trained alone is not known yet."
        )
    first = "The search's first choice" if _is_searched(winner) else winner["name"]
    start = f"{first} reaches AP {ap(winner['ap'])}{_over_seeds(winner)}"
    start += f" at {macs(winner['macs'])}MACs"
    if fpn is None:
        return f"{start}. No FPN baseline is trained beside it."
    beside = f"; the FPN baseline {ap(fpn['ap'])}{_over_seeds(fpn)} at {macs(fpn['macs'])}MACs."
    return f"{start}{beside} {sentence(winner['ap'] - fpn['ap'], winner['intervals'].get('difference'))}"


def _scored(data: Record, value: float | None) -> str:
    """`one-shot AP of 31.20`."""
    return f"{data['score']['long']} of {score(value, data['score']['is_loss'])}"


def _is_searched(network: Record) -> bool:
    """Whether a search chose it; otherwise the user named it."""
    return network["one_shot"] is not None


def _runner_up(data: Record) -> str:
    """How sure it is that the first finalist is the best of them; empty where their draws of images are unknown."""
    if len(data["finalists"]) < 2 or (error := data["finalists"][1].get("image_error_beside_first")) is None:
        return ""
    first, second = (row["score"] for row in data["finalists"][:2])
    lead, is_loss = first - second, data["score"]["is_loss"]
    sure = "other images could reverse them" if lead < 2 * error else "clear of what other images could do"
    ahead = (
        f"{score(lead, is_loss)} ahead of the next, with a standard error of {score(error, is_loss)} over the images"
    )
    return f"The first of {len(data['finalists'])} finalists is {ahead}: {sure}."


def _from_supernet(network: Record) -> bool:
    """Whether it began from the supernet's weights."""
    return bool(network["start"] == SUPERNET)


def _over_seeds(network: Record) -> str:
    return f" (mean of {network['seeds']} trainings)" if network["seeds"] > 1 else ""


def _cards(data: Record, winner: Record | None, fpn: Record | None) -> list[Card]:
    cards = []
    if winner is not None:
        name = "winner" if _is_searched(winner) else winner["name"]
        cards.append(Card(f"{name}, AP in %", ap(winner["ap"]), _spread(winner), palette.DOWN))
    if fpn is not None:
        cards.append(Card("FPN baseline, AP in %", ap(fpn["ap"]), _spread(fpn), palette.BASELINE))
    if winner is not None and fpn is not None:
        found = winner["intervals"].get("difference")
        under = f"95 %: {signed(found['low'])} to {signed(found['high'])}, {_over(found)}" if found else "no interval"
        cards.append(Card("difference", signed(winner["ap"] - fpn["ap"]), under, palette.INK))
        share = f"{100 * winner['macs'] / fpn['macs']:.1f} % of the baseline's"
        cards.append(Card(f"{name}, MACs", macs(winner["macs"]), share, palette.HEAD))
    elif data["best_so_far"]:
        last = data["best_so_far"][-1]
        words = f"after generation {last['generation']}"
        is_loss = data["score"]["is_loss"]
        name = data["score"]["name"] if is_loss else "one-shot AP in %"
        cards.append(Card(f"best {name}", score(last["best"], is_loss), words, palette.DOWN))
        scored = sum(e["ap"] is not None for e in data["evaluations"])
        cards.append(Card("candidates scored", f"{scored:,}", data["score"]["how"], palette.HEAD))
    return cards


def _spread(network: Record) -> str:
    interval = network["intervals"].get("ap", {})
    if interval.get("se") is not None:
        return f"± {ap(interval['se'])}, {_over(interval)}"
    if network["se"] is not None:
        return f"± {ap(network['se'])} over {network['seeds']} trainings"
    return "one training, no spread known"


def _over(interval: Record) -> str:
    """What was drawn again for an interval."""
    number = interval["trainings"]
    return f"over {number} trainings and test images" if number > 1 else "over test images alone"


def _mean(winners: Sequence[Record]) -> Record | None:
    if len(winners) < 2:
        return None
    aps = [row["ap"] for row in winners]
    spread = {"se": standard_error(aps), "deviation": deviation(aps), "best": max(aps)}
    return {"number": len(aps), "ap": mean(aps), **spread}


def _caveat(networks: Sequence[Record]) -> str:
    parts = ["AP is COCO's, over IoU 0.50 to 0.95, in percent."]
    if any(_is_searched(row) for row in networks):
        parts.append("The winner is the search's first choice, not the best of this table: the table chose nothing.")
    if any(_from_supernet(row) for row in networks):
        parts.append("What began from the supernet trained a share of the schedule, baselines all of it; its trainings")
        parts.append("share one supernet, whose own noise is in no interval.")
    if any(row["role"] == OTHER_START for row in networks):
        parts.append("Which start stands for the search was chosen on search_val, by trainings without those images.")
    parts.append("± and the intervals come from drawing the trainings and the test images again with replacement,")
    parts.append("the same draws for all networks.")
    if any(row["seeds"] < 2 for row in networks):
        parts.append("Of a network that was trained once they are over the images alone: nothing can be said about")
        parts.append("its difference to another, since the noise of training is not in it.")
    return " ".join(parts)


def _searched(data: Record) -> str:
    rows = data["best_so_far"]
    if not rows:
        return ""
    scored = sum(e["ap"] is not None for e in data["evaluations"])
    parts = [f"{scored:,} architectures in {len(rows)} generations, scored on images held out of training."]
    if rows[0]["best"] is not None:
        name = data["score"]["long"]
        first, last = (score(row["best"], data["score"]["is_loss"]) for row in (rows[0], rows[-1]))
        parts.append(f"The best {name} went from {first} to {last}.")
    if data["second"]:
        parts.append(data["second"]["text"])
    if data["random_search"]:
        parts.append(_drawn(data, data["random_search"]))
    stopped = data["generations"][-1].get("stopped") if data["generations"] else None
    if stopped:
        parts.append(f"The search ended early: {stopped}.")
    return " ".join(parts)


def _drawn(data: Record, best: Record) -> str:
    """What random search found beside the search."""
    begin = "As many uniform draws, scored alike:"
    if any(best["architecture"] == winner["architecture"] for winner in data["winners"]):
        return f"{begin} the best of them is among the winners."
    first = score(data["winners"][0]["score"], data["score"]["is_loss"])
    return f"{begin} the best of them has a {_scored(data, best['score'])}, the search's first choice {first}."


def _operators(data: Record) -> list[Record]:
    """Per operator, over all generations: draws, and those that were valid, inside the budget and new."""
    draws: Counter[str] = Counter()
    accepted: Counter[str] = Counter()
    for record in data["generations"]:
        draws.update(record.get("draws", {}))
        accepted.update(record.get("accepted", {}))
    return [
        {"name": name, "draws": drawn, "accepted": accepted[name], "share": accepted[name] / drawn}
        for name, drawn in draws.items()
        if drawn
    ]


def _inside(data: Record) -> int | None:
    budget = data["budget"]
    if budget is None:
        return None

    def keeps(evaluation: Record) -> bool:
        bounds = [budget, *budget.get("also", [])]
        costs = [evaluation.get(one["metric"]) for one in bounds]
        known = zip(bounds, costs, strict=True)
        return all(cost is not None and one["low"] <= cost <= one["high"] for one, cost in known)

    return sum(map(keeps, data["evaluations"]))


def _tau(tau: Record, score: str) -> str:
    text = tau_line(tau["value"], len(tau["pairs"]), score)
    if tau["interval"] is None:
        return text
    low, high = (number(bound, 2) for bound in tau["interval"])
    return f"{text} 95 % by bootstrap over the networks: {low} to {high}."


def _times(data: Record) -> list[Record]:
    """One bar for the supernet, the search and each network."""
    bars = [
        {"name": stage["name"], "seconds": stage["seconds"], "colour": palette.STEM}
        for stage in data["stages"]
        if stage["seconds"] is not None and stage["name"] != "retrain"
    ]
    for row in data["networks"]:
        colour = palette.BASELINE if row["baseline"] else palette.DOWN
        bars.append({"name": row["name"], "seconds": row["seconds"], "colour": colour})
    most = max((bar["seconds"] for bar in bars), default=0) or 1
    return [{**bar, "percent": round(100 * bar["seconds"] / most, 1)} for bar in bars]


def _time_note(data: Record) -> str:
    seconds = [e["seconds"] for e in data["evaluations"] if e["status"] == "ok"]
    if not seconds:
        return ""
    note = f"{duration(sum(s['seconds'] or 0 for s in data['stages']))} in all."
    if len(seconds) > 1:
        se = number(standard_error(seconds), 2)
        note += f" A candidate took {number(mean(seconds), 1)} s (standard error {se} s)."
    return note


def _machine(environment: Record) -> list[tuple[str, Any]]:
    """What the last command recorded, nested records as `outer inner`."""
    commands = environment.get("commands") or [{}]
    record = {key: value for key, value in commands[-1].items() if key not in ("command", "began")}
    flat: list[tuple[str, Any]] = []
    for key, value in record.items():
        flat += [(str(inner), item) for inner, item in value.items()] if isinstance(value, dict) else [(key, value)]
    return [(key.replace("_", " "), value) for key, value in flat if value is not None]


def _row(data: Record, winner: Record | None, fpn: Record | None) -> Record:
    """One line of the table that compares runs."""
    found = winner or {}
    seconds = {stage["name"]: stage["seconds"] for stage in data["stages"]}
    return {
        "ap": found.get("ap"),
        "interval": found.get("intervals", {}).get("ap"),
        "baseline": fpn["ap"] if fpn else None,
        "difference": winner["ap"] - fpn["ap"] if winner and fpn else None,
        "against": found.get("intervals", {}).get("difference"),
        "verdict": short(found.get("intervals", {}).get("difference")),
        "macs": found.get("macs"),
        "seconds": seconds.get("search"),
    }
