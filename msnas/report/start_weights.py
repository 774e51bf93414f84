"""Which weights the networks of a table began with."""

from collections.abc import Sequence

from msnas.report.run_data import Record
from msnas.setup.options import SUPERNET
from supernet.weight_sources import NONE

FRESH = {NONE: "fresh weights", SUPERNET: "the weights of their paths in the supernet"}


def weights_sentence(networks: Sequence[Record]) -> str:
    """Such as "Began with the backbone weights `package` (all)."; "" where the run is too old to tell."""
    names: dict[str, list[str]] = {}
    for row in networks:
        if row.get("weights") is not None:
            names.setdefault(row["weights"], []).append(row["name"])
    told = [
        f"{FRESH.get(weights, f'the backbone weights `{weights}`')} ({'all' if len(names) == 1 else ', '.join(own)})"
        for weights, own in names.items()
    ]
    return f"Began with {'; '.join(told)}." if told else ""
