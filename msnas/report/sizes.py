"""Networks along a search's front beside FPNs of the same sizes: AP against MACs and latency, one record a network."""

from collections.abc import Sequence

from msnas.pipeline.front_choice import SAME_SIZE
from msnas.report.networks_table import networks_of
from msnas.report.numbers import ap, macs
from msnas.report.run_data import Record, RunData
from msnas.report.verdicts import short


def size_pairs(front: Sequence[Record]) -> dict[str, str]:
    """The FPN of the same size of each network of `RunData.front`, by name; networks without one are left out."""
    costs = {record["name"]: record["macs"] for record in front}
    fpns = {record["name"] for record in front if record.get("role") == "fpn"}
    pairs = {}
    for name, cost in costs.items():
        nearest = min(fpns, key=lambda fpn: abs(costs[fpn] - cost), default=None)
        if name not in fpns and nearest is not None and abs(costs[nearest] - cost) <= SAME_SIZE * cost:
            pairs[name] = nearest
    return pairs


def sizes_of(run: RunData, intervals: Record) -> list[Record]:
    """The networks by rising MACs; `fpn_size`: the FPN of the same size, if there is one; `latency_ms` where measured.

    intervals: by network name, as `sized_intervals` gives them.
    """
    pairs, times = size_pairs(run.front), run.latencies.get("whole_ms", {})
    rows = networks_of(run.front, intervals)
    aps = {row["name"]: row["ap"] for row in rows}
    for row in rows:
        other = pairs.get(row["name"])
        difference = None if other is None else row["ap"] - aps[other]
        row |= {"fpn_size": other, "difference": difference, "latency_ms": times.get(row["name"])}
    return sorted(rows, key=lambda row: (row["macs"], row["baseline"]))


def sizes_sentence(sizes: Sequence[Record]) -> str:
    """From where to where the networks reach, and how many of them are ahead of the FPN of their size; "" for none."""
    found = [row for row in sizes if not row["baseline"]]
    if not found:
        return ""
    small, large = found[0], found[-1]
    said = f"{len(found)} detectors along the front reach AP {ap(small['ap'])} at {macs(small['macs'])}MACs "
    said += f"to {ap(large['ap'])} at {macs(large['macs'])}MACs."
    beside = [row for row in found if row["fpn_size"] is not None]
    if not beside:
        return said
    words = [short(row["intervals"].get("difference")) for row in beside]
    higher = sum(row["difference"] > 0 for row in beside)
    said += f" {higher} of {len(beside)} have a higher AP than the FPN of the same MACs"
    if set(words) <= {"", "images only", "too few trainings"}:
        return f"{said}; with so few trainings none of the differences can be judged."
    return f"{said}; judged by its interval, {words.count('ahead')} are ahead and {words.count('behind')} behind."
