"""What was trained alone, one row a network: its seeds together, its intervals, the search's rank."""

import math
from collections.abc import Sequence

from evolution.ranking import kendall_tau, tau_interval
from msnas.report.gain import FPN, WINNER
from msnas.report.run_data import Record
from msnas.report.spread import deviation, mean, standard_error
from msnas.runs.folder import BASELINE

SEARCHED = (None, WINNER, "front")  # roles of what a search or the user chose, and not of what stands beside it


def networks_of(retrained: Sequence[Record], intervals: Record) -> list[Record]:
    """One record a network, winners by rank and then the baselines; numbers are means over its seeds.

    spread, se: standard deviation and standard error of AP over seeds, nan where there is one. intervals: by
    network name, as `ap_intervals` gives them.
    """
    by_name: dict[str, list[Record]] = {}
    for record in retrained:
        by_name.setdefault(record["name"], []).append(record)
    return [_network(name, seeds, intervals.get(name, {})) for name, seeds in by_name.items()]


def _network(name: str, seeds: Sequence[Record], intervals: Record) -> Record:
    first = seeds[0]
    shared = set.intersection(*(set(seed) for seed in seeds))
    numbers = {key: _number([seed[key] for seed in seeds]) for key in first if key in shared and _is_score(key)}
    aps = [seed["ap"] for seed in seeds]
    return {
        "name": name,
        "folders": [seed["folder"] for seed in seeds],
        "baseline": first["folder"].startswith(BASELINE) or first.get("role") not in SEARCHED,
        "fpn": is_fpn(first),
        **{
            key: first.get(key)
            for key in ("role", "architecture", "macs", "params", "one_shot", "start", "steps", "weights")
        },
        **numbers,
        "seeds": len(seeds),
        "spread": deviation(aps),
        "se": standard_error(aps),
        "seconds": sum(seed["seconds"] for seed in seeds),
        "group_recall": _recalls([seed.get("group_recall") for seed in seeds]),
        "group_borders": first.get("group_borders"),
        "intervals": {key: vars(interval) for key, interval in intervals.items()},
    }


def _recalls(seeds: Sequence[list[float | None] | None]) -> list[float | None] | None:
    """The mean recall of each group over seeds; None of a group without objects, and where none was measured."""
    known = [seed for seed in seeds if seed is not None]
    if not known:
        return None
    return [None if None in group else mean(group) for group in zip(*known, strict=True)]


def is_fpn(record: Record) -> bool:
    """Whether this is the FPN that winners are compared with; folders tell it where no role was written."""
    role = record.get("role")
    return bool(role == FPN if role else record["folder"].startswith(f"{BASELINE}fpn"))


def _is_score(key: str) -> bool:
    return key.startswith(("ap", "ar")) and key != "architecture"


def _number(values: Sequence[float]) -> float:
    """The mean; nan where pycocotools says -1, that there is nothing of this size."""
    return math.nan if min(values) < 0 else mean(values)


def tau_of(networks: Sequence[Record]) -> Record:
    """Kendall's tau between the one-shot score and the stand-alone AP, with its bootstrap interval."""
    pairs = [
        {"name": row["name"], "one_shot": row["one_shot"], "ap": row["ap"]}
        for row in networks
        if row["one_shot"] is not None
    ]
    first, second = [pair["one_shot"] for pair in pairs], [pair["ap"] for pair in pairs]
    tau = kendall_tau(first, second) if len(pairs) > 1 else None
    return {"pairs": pairs, "value": tau, "interval": tau_interval(first, second)}
