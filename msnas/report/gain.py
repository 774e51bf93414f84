"""What the winner's gain over the FPN comes from: head strides, the family of its trunks, the search among them."""

from collections.abc import Iterable, Mapping, Sequence

from msnas.report.run_data import Record
from msnas.report.spread import mean

WINNER, FPN, FPN_HEADS, RANDOM, RANDOM_SEARCH = "winner", "fpn", "fpn_heads", "random", "random_search"
SIDES = {  # what is compared; each lacks one thing of the side before it
    "heads": (FPN_HEADS, FPN),
    "trunk": (RANDOM, FPN_HEADS),
    "search": (WINNER, RANDOM),
}
BESIDE = {"random search": (WINNER, RANDOM_SEARCH)}  # no part of the gain, but what the search must beat


def gain_parts(roles: Iterable[tuple[str, str | None]]) -> dict[str, tuple[Sequence[str], Sequence[str]]]:
    """The names of the networks on both sides of every part that can be told.

    roles: name and role of each network, the best first; of several winners the first stands for them.
    """
    names: dict[str | None, list[str]] = {}
    for name, role in roles:
        names.setdefault(role, []).append(name)
    sides: Mapping[str | None, list[str]] = {**names, WINNER: names.get(WINNER, [])[:1]}
    return {
        part: (sides[plus], sides[minus])
        for part, (plus, minus) in (SIDES | BESIDE).items()
        if sides.get(plus) and sides.get(minus)
    }


def gain_rows(networks: Sequence[Record]) -> list[Record]:
    """The parts of the winner's gain and the whole, with intervals; [] where the networks' roles do not tell them.

    The last is the winner beside random search's best, where that was trained.
    """
    aps = {row["name"]: row["ap"] for row in networks}
    parts = gain_parts((row["name"], row["role"]) for row in networks)
    intervals: Record = next((row["intervals"] for row in networks if not row["baseline"]), {})
    rows: dict[str, Record] = {}
    for part, (plus, minus) in parts.items():
        value = mean([aps[name] for name in plus]) - mean([aps[name] for name in minus])
        rows[part] = {**_words(part, plus, minus), "value": value, "interval": intervals.get(part)}
    own = [row for part, row in rows.items() if part in SIDES]
    whole: list[Record] = []
    if len(own) == len(SIDES):
        words = {"name": "together", "sides": "the winner, less the FPN", "value": sum(row["value"] for row in own)}
        whole = [{**words, "interval": intervals.get("difference")}]
    return [*own, *whole, *(row for part, row in rows.items() if part in BESIDE)]


def _words(part: str, plus: Sequence[str], minus: Sequence[str]) -> dict[str, str]:
    """What a part is called and what was subtracted from what."""
    if part == "heads":
        return {"name": "heads", "sides": "the FPN with the winner's heads, less the FPN"}
    if part == "trunk":
        return {"name": "trunk family", "sides": f"{_random(plus)} with those heads, less the FPN with them"}
    if part in BESIDE:
        return {"name": "against random search", "sides": "the winner, less the best of as many uniform draws"}
    return {"name": "search", "sides": f"the winner, less {_random(minus)}"}


def _random(names: Sequence[str]) -> str:
    return f"the mean of {len(names)} random trunks" if len(names) > 1 else "one random trunk"
