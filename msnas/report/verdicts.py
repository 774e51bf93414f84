"""What may be said of a difference of APs: its interval always, a judging word only after enough trainings.

Two runs share no draws; their difference is judged by both intervals as if they were independent, which is too wide
where the test images are the same (MOVER: Zou and Donner, "Construction of confidence limits about effect measures",
Statistics in Medicine 27, 2008).
"""

from collections.abc import Sequence
from math import hypot
from typing import TypeGuard

from msnas.report.numbers import ap, signed
from msnas.report.paired_draws import ENOUGH
from msnas.report.run_data import Record

AHEAD, BEHIND, TIED = "ahead", "behind", "cannot be told apart"


def word(interval: Record | None) -> str:
    """AHEAD, BEHIND or TIED; "" where there are too few trainings for any."""
    if not _known(interval) or interval["trainings"] < ENOUGH:
        return ""
    if interval["low"] <= 0 <= interval["high"]:
        return TIED
    return AHEAD if interval["low"] > 0 else BEHIND


def sentence(difference: float, interval: Record | None) -> str:
    """What a difference of two APs, in [-1, 1], amounts to."""
    if not _known(interval):
        return f"The difference is {signed(difference)}; how sure that is cannot be said."
    between = f"{signed(interval['low'])} to {signed(interval['high'])}"
    if interval["trainings"] == 1:
        return (
            f"The difference, {signed(difference)}, rests on one training: nothing can be said about it "
            f"(95 % over the test images alone, which leaves out the training's own noise: {between})."
        )
    both = f"(95 % over trainings and test images: {between})"
    judged = word(interval)
    if not judged:
        return f"The difference, {signed(difference)}, rests on two trainings; {ENOUGH} are needed to judge it {both}."
    if judged == TIED:
        return f"The two {TIED}: the difference is {signed(difference)} {both}."
    return f"It is {judged} by {ap(abs(difference))} {both}."


def short(interval: Record | None) -> str:
    """The same for a cell of a table, behind the interval."""
    if not _known(interval):
        return ""
    return word(interval) or ("images only" if interval["trainings"] == 1 else "too few trainings")


def _known(interval: Record | None) -> TypeGuard[Record]:
    return interval is not None and interval["low"] is not None


def apart(first: Record | None, second: Record | None) -> Record | None:
    """The interval of `first` - `second`, two APs that share no draws; None where one of them has none."""
    if not (_known(first) and _known(second)):
        return None
    value = first["value"] - second["value"]
    return {
        "value": value,
        "low": value - hypot(first["value"] - first["low"], second["high"] - second["value"]),
        "high": value + hypot(first["high"] - first["value"], second["value"] - second["low"]),
        "trainings": min(first["trainings"], second["trainings"]),
    }


def comparison(contexts: Sequence[Record]) -> str:
    """What the two best winners of several runs reach; "" where fewer than two have one."""
    known = [(c["row"], c["data"]["name"]) for c in contexts if c["row"]["ap"] is not None]
    if len(known) < 2:
        return ""
    (best, name), (second, other) = sorted(known, key=lambda pair: pair[0]["ap"], reverse=True)[:2]
    start = f"The winner of {name} reaches AP {ap(best['ap'])}, that of {other} {ap(second['ap'])}."
    return f"{start} {sentence(best['ap'] - second['ap'], apart(best['interval'], second['interval']))}"
