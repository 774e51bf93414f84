"""Train one supernet, score every architecture of a budget with it, and write the scores as a table.

    python experiments/score_table/make_table.py [out=FOLDER] [key=value...]

The options are those of `msnas train` and `msnas search`. What was stopped goes on where it was. `table.csv`, in the
folder, by default this one: an architecture a row, `score` and `score_again` by statistics from two different draws
of training images.
"""

import csv
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from evolution.driver import Job
from evolution.history import History
from evolution.strategy import Genome
from msnas import cli
from msnas.families.search_processes import evaluate_many
from msnas.setup.open_run import OpenRun, open_existing

WORDS = ("experiment=score_table", "run=score_table")
REPLICATES = 2
HERE = Path(__file__).parent
OUT = "out="


def main() -> int:
    words = [*WORDS, *(word for word in sys.argv[1:] if not word.startswith(OUT))]
    folder = Path(next((word.removeprefix(OUT) for word in sys.argv[1:] if word.startswith(OUT)), HERE))
    failed = cli.main(["train", *words])
    if failed:
        return failed
    run = open_existing(words)
    space = run.setup.bounded_space
    genomes = list(enumerated(space))
    assert len(genomes) == space.count()
    with run.locked(), opened_history(run) as history:
        for replicate in range(REPLICATES):
            score_all(run, [Job(genome, replicate) for genome in genomes], history)
            write_table([row(space, genome, history) for genome in genomes], folder)
    return 0


def enumerated(space: Any) -> Iterator[Genome]:
    """Every architecture inside the budget, in the order of its genes."""
    for blocks in itertools.product(range(3), repeat=space.depth):
        heads = np.array(list(itertools.combinations_with_replacement(range(5), 5)))
        genomes = np.concatenate([np.tile(blocks, (len(heads), 1)), heads], axis=1)
        yield from map(tuple, genomes[space.valid(genomes)].tolist())


def opened_history(run: OpenRun) -> History:
    return History(run.stage("score_table") / "history.sqlite", fingerprint={"candidate": run.setup.candidate_options})


def score_all(run: OpenRun, jobs: list[Job], history: History) -> None:
    """Those of the jobs that are not in the history yet."""
    left = [job for job in jobs if not history.is_finished(*job)]
    if not left:
        return
    settings = run.setup.search(weights=run.weights, folder=run.folder)
    with evaluate_many(run.setup.family, settings, run.splits()) as engine:
        for number, evaluation in enumerate(engine(left), start=len(jobs) - len(left) + 1):
            history.append(evaluation)
            if number % 50 == 0 or not evaluation.ok:
                outcome = evaluation.score or evaluation.reason
                print(f"{number} of {len(jobs)}: {outcome}, {evaluation.seconds:.2f} s", file=sys.stderr, flush=True)


def row(space: Any, genome: Genome, history: History) -> dict[str, Any]:
    """One line of the table."""
    found = [history.find(genome, replicate) for replicate in range(REPLICATES)]
    scores = [one.score[0] if one is not None and one.ok else None for one in found]
    cost = space.cost(genome)
    known = {"architecture": str(space.decode(genome)), "macs": cost.macs, "params": cost.params}
    return known | dict(zip(("score", "score_again"), scores, strict=True))


def write_table(rows: list[dict[str, Any]], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "table.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    scored = [r for r in rows if r["score"] is not None]
    print(f"{len(scored)} of {len(rows)} architectures scored, the best {max(r['score'] for r in scored):.4f}.")


if __name__ == "__main__":
    sys.exit(main())
