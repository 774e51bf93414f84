"""How many evaluations a second a search can hand out and take in: what a large cluster would wait for.

    OMP_NUM_THREADS=1 python experiments/bench/scheduling.py [--evaluations 10000] [--folder /tmp] [STRATEGY...]

Evaluations cost nothing and come back in random order from 256 workers that are simulated in this process. The
strategies are those of conf/strategy on MSNAS-R18 within 1 % of its budget, with as many iterations as it takes; the
history is on the disk of `--folder`, every evaluation written through before the next.
"""

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from evolution.driver import Job, run_search
from evolution.history import History
from evolution.strategy import Evaluation, Strategy
from msnas.config.compose import build, compose
from supernet.space import Budget
from supernet.strides.stride_space import StrideSpace

WORKERS = 256
PARTS = {"ask": ("ask",), "tell": ("tell",), "store": ("append", "commit", "find", "is_finished")}
HEADER = "| strategy | evaluations a second, wall | CPU | ms each: ask | tell | history | rest |\n" + 7 * "|---" + "|"


def cluster(jobs: Iterable[Job]) -> Iterator[Evaluation]:
    """WORKERS jobs at a time, of which any one ends next."""
    rng, waiting = np.random.default_rng(0), iter(jobs)
    busy = list(islice(waiting, WORKERS))
    while busy:
        index = int(rng.integers(len(busy)))
        busy[index], job = busy[-1], busy[index]
        busy.pop()
        yield instant(job)
        busy.extend(islice(waiting, 1))


def instant(job: Job) -> Evaluation:
    """A score that grows with the first genes, so that there is something to select."""
    cost = {"macs": 10**11 + sum(job.genome), "params": 10**7}
    return Evaluation(genome=job.genome, replicate=job.replicate, score=(sum(job.genome[:8]) / 100,), cost=cost)


def strategy_of(name: str, evaluations: int) -> Strategy:
    """The strategy as configured, with iterations for so many evaluations."""
    space = StrideSpace(block="basic", depth=13, channels=180).within(Budget("macs", 145.45e9, 0.01))
    node = dict(compose([f"strategy={name}"]).strategy)
    generation = node["children"] + node.get("n_random", 0)
    node["iterations"] = -(-(evaluations - node["population_size"]) // generation)
    strategy: Strategy = build(node, space=space, seed=0)
    return strategy


def timed(objects: Iterable[Any], spent: Counter[str]) -> None:
    """Have the methods of PARTS add their CPU seconds to `spent`."""
    for one in objects:
        for part, names in PARTS.items():
            for name in names:
                if hasattr(one, name):
                    setattr(one, name, _timed(getattr(one, name), part, spent))


def _timed(method: Callable[..., Any], part: str, spent: Counter[str]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        began = time.process_time()
        try:
            return method(*arguments)
        finally:
            spent[part] += time.process_time() - began  # type: ignore[assignment]

    return call


def measure(name: str, evaluations: int, folder: Path) -> str:
    """One search; a line of the table."""
    strategy, spent = strategy_of(name, evaluations), Counter[str]()
    with History(folder / name, fingerprint={}) as history:
        timed([strategy, history], spent)
        wall, cpu = time.perf_counter(), time.process_time()
        found = run_search(strategy, cluster, history, replicates=0)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    spent["rest"] = cpu - spent.total()  # type: ignore[assignment]
    each = [f"{1000 * spent[part] / found.evaluated:.2f}" for part in (*PARTS, "rest")]
    return f"| {name} | {found.evaluated / wall:.0f} | {found.evaluated / cpu:.0f} | {' | '.join(each)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("strategies", nargs="*", default=["random", "regularized", "algorithm1"])
    parser.add_argument("--evaluations", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args()
    print(HEADER)
    for name in options.strategies:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            print(measure(name, options.evaluations, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
