"""What counting, drawing and varying architectures costs: tables, one draw, one child, a million costs.

Run: OMP_NUM_THREADS=1 python experiments/bench/stride_space.py CPU time of this process in milliseconds, so
that other work on the machine disturbs little; memory is the counting table's own.
"""

import json
import platform
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from msnas.families.strides.zoo_msnas import SPACES
from supernet import Budget, StrideSpace
from supernet.strides.counting.path_rules import path_rules
from supernet.strides.counting.path_table import PathTable, UnitCosts, everything

TARGETS = {"r18": 145.45e9, "r34": 182.2e9, "r50": 197.33e9}


def milliseconds(work: Callable[[], Any], repeat: int = 1) -> float:
    start = time.process_time()
    for _ in range(repeat):
        work()
    return round((time.process_time() - start) / repeat * 1e3, 4)


def measure(name: str) -> dict[str, Any]:
    space, rng = StrideSpace(**SPACES[name]), np.random.default_rng(0)
    budget = Budget("macs", TARGETS[name], 0.01)
    row: dict[str, Any] = {"space": name, "build": milliseconds(lambda: space.count(budget))}
    rules = path_rules(
        space.start,
        block=space.block,
        channels=space.channels,
        base_stride=space.base_stride,
        input_size=space.input_size,
        live=space.live,
    )
    table = PathTable(UnitCosts(rules, "macs", space.depth), everything(space.depth))
    row |= {"nodes": sum(len(layer.keys) for layer in table.layers), "megabytes": table.nbytes / 1e6}
    row["within"] = milliseconds(lambda: space.within(budget))
    bounded = space.within(budget)
    row["draw"] = milliseconds(lambda: bounded.sample(rng), 5000)
    row["walk in budget"] = milliseconds(lambda: bounded.walk(rng), 300)
    parents = [bounded.sample(rng) for _ in range(100)]
    row["is_valid"] = milliseconds(lambda: [bounded.is_valid(parent) for parent in parents]) / len(parents)
    genomes = np.array(parents * 10_000)
    row["a million costs"] = milliseconds(lambda: space.costs(genomes))
    for section in ("encoder", "heads"):
        for radius in (1, 2, 3):
            row[f"mutation {section} {radius}"] = one_child(bounded, parents, 1, section, radius, rng)
        for radius in (0, 1, 2):
            row[f"crossover {section} {radius}"] = one_child(bounded, parents, 2, section, radius, rng)
    return row


def one_child(
    space: StrideSpace, parents: list[Any], number: int, section: str, radius: int, rng: np.random.Generator
) -> dict[str, float]:
    """Milliseconds a call, and the share of calls that find a child at this radius."""
    groups = [[parents[i - j] for j in range(number)] for i in range(len(parents))]
    children: list[Any] = []
    spent = milliseconds(lambda: children.extend(space.neighbour(group, section, radius, rng) for group in groups))
    found = sum(child is not None for child in children)
    return {"ms": round(spent / len(groups), 3), "found": found / len(groups)}


if __name__ == "__main__":
    print(json.dumps({"machine": platform.processor() or platform.machine(), "python": platform.python_version()}))
    for space_name in SPACES:
        print(json.dumps(measure(space_name)))
