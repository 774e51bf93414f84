"""Kills a search with SIGKILL at random instants and resumes it; run by test_kill.py in a process of its own.

Half of the kills come from outside at a random time, half from inside SQLite, in the middle of a statement.
Prints one JSON line a kill.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from toy_space import ToySpace, toy_evaluation

from evolution.driver import evaluate_with, run_search
from evolution.history import History
from evolution.multi_scale import MultiScaleEvolution
from evolution.strategy import Evaluation

NOTHING = 10**9


def search(path: Path, kill_at: int = NOTHING, journal: str = "wal") -> int:
    """Run or resume; the process kills itself at SQLite's instruction `kill_at`. Returns their number."""
    count = 0

    def progress() -> int:
        nonlocal count
        count += 1
        if count >= kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return 0

    with History(path, fingerprint={"space": "toy"}, journal=journal) as history:
        history._database.set_progress_handler(progress, 1)

        def evaluate(genome: tuple[int, ...], replicate: int) -> Evaluation:
            assert history.find(genome, replicate) is None, "a finished evaluation is repeated"
            if genome[1] == 0:
                return Evaluation(genome=genome, replicate=replicate, status="failed", reason="diverged")
            return toy_evaluation(genome, replicate)

        strategy = MultiScaleEvolution(ToySpace(), seed=0, population_size=10, children=8, iterations=4, n_random=2)
        result = run_search(strategy, evaluate_with(evaluate), history)
        winners = [[one.genome, one.mean, one.standard_error] for one in result.winners]
        path.with_suffix(".json").write_text(json.dumps([winners, strategy.state_dict()]))
    return count


def in_child(task: Callable[[], object], kill_after: float | None = None) -> int:
    """Run `task` in a fork, killed after `kill_after` seconds if given; the signal that ended it, or 0."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            task()
            status = 0
        finally:
            os._exit(status)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the search itself failed"
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def outcome(path: Path) -> object:
    """All that a search leaves: winners, state with its generator, records, evaluations.

    Sorted, since a second attempt may come earlier after a kill than it would have come otherwise.
    """
    with History.read(path) as view:
        intact = view._rows("PRAGMA integrity_check") == [("ok",)]
        evaluations = [evaluation.to_dict() for evaluation in view.evaluations()]
        evaluations.sort(key=lambda one: (one["genome"], one["replicate"]))
        return [intact, path.with_suffix(".json").read_text(), view.state(), view.generations(), evaluations]


def main(folder: Path, kills: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    instructions = search(folder / "whole")
    whole = outcome(folder / "whole")
    start = time.perf_counter()
    in_child(partial(search, folder / "timed"))
    seconds = time.perf_counter() - start
    for number in range(kills):
        path = folder / f"killed{number}"
        journal = "rollback" if number % 3 == 0 else "wal"
        kill_at, delay = int(rng.integers(1, instructions)), float(rng.uniform(0, seconds))
        if number % 2:
            killed = in_child(partial(search, path, journal=journal), kill_after=delay)
        else:
            killed = in_child(partial(search, path, kill_at, journal))
        finished_before = path.with_suffix(".json").exists()
        search(path, journal=journal)
        report = {"killed": killed == signal.SIGKILL and not finished_before, "same": outcome(path) == whole}
        print(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
