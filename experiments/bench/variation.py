"""Children inside a budget: Algorithm 1 with the paper's rejection against draws from inside the budget.

Run: OMP_NUM_THREADS=1 python experiments/bench/variation.py [SPACE...]

Candidates are scored at once, by how many genes they share with one architecture of the budget, so that the
population closes in on it as a search's does. CPU time of this process, so that other work disturbs little.
"""

import platform
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from statistics import fmean

import numpy as np

from evolution.multi_scale import MultiScaleEvolution
from evolution.operators import RANDOM
from evolution.strategy import Evaluation, Genome
from msnas.families.strides.zoo_msnas import SPACES
from supernet.space import Budget
from supernet.strides.stride_space import StrideSpace

TARGETS = {"r18": 145.45e9, "r34": 182.2e9, "r50": 197.33e9}  # MACs of the FPN baselines at 832x1280
RARE = 1e-6  # of all architectures
GENERATIONS, SEEDS = 20, 1
LIMIT = 25.0  # CPU seconds of breeding after which a search is not gone on with

HEADER = """| space, budget | architectures inside | share | variation | tries per child | CPU ms per child | \
children per generation, mean (least) of 50 | generations |
|---|---|---|---|---|---|---|---|"""


def main() -> None:
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=True)
    print(f"<!-- commit {commit.stdout.strip()}, {platform.machine()}, Python {platform.python_version()} -->")
    print(HEADER, flush=True)
    for name in sys.argv[1:] or TARGETS:
        space = StrideSpace(**SPACES[name])
        for label, budget in budgets(space, TARGETS[name]):
            inside = space.within(budget)
            for variation in ("paper", "exact"):
                numbers = [measure(inside, variation, seed) for seed in range(SEEDS)]
                share = inside.count() / space.count()
                row = [f"{name.upper()}, {label}", f"{inside.count():,}", f"{share:.1e}", variation, *combined(numbers)]
                print(f"| {' | '.join(row)} |", flush=True)


def budgets(space: StrideSpace, target: float) -> Iterator[tuple[str, Budget]]:
    """1 %, 0.1 %, and the tolerance that about RARE of all architectures keep."""
    yield "1 %", Budget("macs", target, 0.01)
    yield "0.1 %", Budget("macs", target, 0.001)
    low, high, wanted = 0.0, 0.001, RARE * space.count()
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if space.count(Budget("macs", target, middle)) < wanted else (low, middle)
    yield f"{100 * high:.1g} %", Budget("macs", target, high)


def measure(space: StrideSpace, variation: str, seed: int) -> dict[str, float | list[int]]:
    """One search with the published numbers: tries, seconds, and the children of each generation."""
    goal = space.sample(np.random.default_rng(seed))
    strategy = MultiScaleEvolution(space, seed=seed, iterations=GENERATIONS, variation=variation)
    tries: Counter[str] = Counter()
    seconds, children = 0.0, []
    while seconds < LIMIT:
        began = time.process_time()
        genomes = strategy.ask()
        spent = time.process_time() - began
        if strategy.stopped:
            seconds += spent
            tries.update(strategy.record["draws"])
            children.append(0)
        if not genomes:
            break
        first = strategy.generation == 0
        strategy.tell([scored(genome, goal) for genome in genomes])
        if not first:  # the first generation is drawn, not bred
            seconds += spent
            tries.update(strategy.record["draws"])
            accepted = strategy.record["accepted"]
            children.append(sum(accepted.values()) - accepted.get(RANDOM, 0))
    return {"tries": tries.total() - tries[RANDOM], "seconds": seconds, "children": children}


def scored(genome: Genome, goal: Genome) -> Evaluation:
    return Evaluation(genome=genome, score=(float(sum(a == b for a, b in zip(genome, goal, strict=True))),))


def combined(numbers: list[dict]) -> list[str]:
    """Cells of all seeds together."""
    children = [count for one in numbers for count in one["children"]]
    born = sum(children)
    tries, seconds = sum(one["tries"] for one in numbers), sum(one["seconds"] for one in numbers)
    if not born:
        return ["-", "-", "0 (0)", f"{len(children) / len(numbers):g}"]
    delivered = f"{fmean(children):.1f} ({min(children)})"
    generations = f"{len(children) / len(numbers):g}"
    return [f"{tries / born:.1f}", f"{1e3 * seconds / born:.2f}", delivered, generations]


if __name__ == "__main__":
    main()
