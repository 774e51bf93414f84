"""Every strategy of conf/strategy on the score table: how good is what it finds, and how soon, beside random search?

    python experiments/score_table/replay.py [--seeds 1000] [--table FOLDER] [--space WORD...] [STRATEGY...]

A search takes 5 ms to 1 s, since a candidate's score is looked up. Writes `results.md` beside the table, `table.csv` of
the folder. --space: the options that the table was made with.
"""

import argparse
import csv
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from evolution.strategy import Evaluation, Genome, Strategy
from evolution.table_space import TableSpace
from msnas.config.compose import build, compose, groups
from msnas.setup.setup import Setup
from supernet.strides.architecture import Architecture

HERE = Path(__file__).parent
LIMIT = 256  # evaluations of a search
CHECKPOINTS = (32, 64, 128)
TOP = 0.01  # the best so many of the table are what a search is to reach
STRATEGIES = [name for name in groups()["strategy"] if not name.startswith("by_scale_")]  # those name one of these
OWN = {
    "algorithm1": {"children": 6, "n_random": 2},
    "predictor": {"children": 6, "n_random": 2},
    "controller": {"max_attempts": 200},
}
SIZES = {"population_size": 16, "children": 8, "iterations": (LIMIT - 16) // 8}  # 8 a generation, whatever the strategy
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ScoreTable:
    """What one supernet says of every architecture inside a budget."""

    space: TableSpace
    evaluations: Mapping[Genome, Evaluation]

    @classmethod
    def read(cls, path: Path = HERE / "table.csv", words: Sequence[str] = ()) -> "ScoreTable":
        """The table of a CSV as `make_table.py` writes it with the options `words`."""
        with open(path, newline="") as file:
            rows = list(csv.DictReader(file))
        space: Any = Setup(compose(["experiment=score_table", "input=128x128", *words])).space
        genomes = [space.encode(Architecture.parse(row["architecture"])) for row in rows]
        listed = TableSpace(genomes, cardinalities=space.cardinalities, sections=space.sections)
        return cls(listed, {genome: _evaluation(genome, row) for genome, row in zip(genomes, rows, strict=True)})

    @cached_property
    def scores(self) -> Floats:
        """All scores, falling."""
        return np.sort([evaluation.score[0] for evaluation in self.evaluations.values()])[::-1]

    @cached_property
    def goal(self) -> float:
        """The lowest score of the best TOP."""
        return float(self.scores[math.ceil(TOP * len(self.scores)) - 1])

    def expected_regret(self, count: int) -> float:
        """Of the best of `count` uniform draws without replacement, exactly."""
        n = len(self.scores)
        ranks = np.arange(n)
        log_missed = np.cumsum(np.log(np.maximum(n - ranks - count, 1e-300)) - np.log(n - ranks))
        missed = np.concatenate([[1.0], np.exp(log_missed)])  # chance that none of the best 0, 1, 2, ... was drawn
        return float(self.scores[0] - self.scores @ -np.diff(missed))


def _evaluation(genome: Genome, row: Mapping[str, str]) -> Evaluation:
    cost = {"macs": int(row["macs"]), "params": int(row["params"])}
    return Evaluation(genome=genome, score=(float(row["score"]),), cost=cost)


def make_strategy(name: str, space: TableSpace, seed: int, **changes: Any) -> Strategy:
    """`strategy=NAME` at the sizes of this comparison, as the search would build it."""
    strategy: Strategy = build({**_configured(name), **changes}, space=space, seed=seed)
    return strategy


@cache
def _configured(name: str) -> dict[str, Any]:
    return {**compose([f"strategy={name}"]).strategy, **SIZES, **OWN.get(name, {})}


def search(strategy: Strategy, table: ScoreTable, limit: int = LIMIT) -> list[Genome]:
    """What the strategy asks for, in its order: up to the last checkpoint, then until the goal or `limit`."""
    asked: list[Genome] = []
    best = -math.inf
    while len(asked) < (limit if best < table.goal else min(limit, CHECKPOINTS[-1])) and (genomes := strategy.ask()):
        asked += genomes
        strategy.tell([table.evaluations[genome] for genome in genomes])
        best = max(best, *(table.evaluations[genome].score[0] for genome in genomes))
    return asked[:limit]


def regrets(asked: list[Genome], table: ScoreTable, limit: int = LIMIT) -> Floats:
    """How far the best so far is below the best of the table, after every evaluation, [limit]."""
    found = np.maximum.accumulate([table.evaluations[genome].score[0] for genome in asked])
    return table.scores[0] - np.pad(found, (0, limit - len(found)), mode="edge")


@dataclass(frozen=True)
class Replay:
    """A strategy over many seeds. regret: [seeds, LIMIT]; needed: evaluations to the best TOP, LIMIT if not reached."""

    name: str
    regret: Floats
    needed: Floats
    reached: float
    seconds: float

    @classmethod
    def of(cls, name: str, table: ScoreTable, seeds: int) -> "Replay":
        """Searches with seeds 0, 1, ..."""
        began = time.process_time()
        regret = np.array([regrets(search(make_strategy(name, table.space, s), table), table) for s in range(seeds)])
        seconds = time.process_time() - began
        there = regret <= table.scores[0] - table.goal
        reached = there.any(axis=1)
        needed = np.where(reached, there.argmax(axis=1) + 1, LIMIT).astype(float)
        return cls(name, regret, needed, float(reached.mean()), seconds)

    def cells(self, random: "Replay") -> list[str]:
        """Its line of the results; regrets in points of AP."""
        at = [100 * self.regret[:, count - 1] for count in CHECKPOINTS]
        cells = [self.name, f"{len(self.regret):,}", *map(shown, at), shown(self.needed), f"{100 * self.reached:.0f} %"]
        gain = self.needed.mean() - random.needed.mean()
        error = 1.96 * math.hypot(standard_error(self.needed), standard_error(random.needed))
        beside = "-" if self is random else f"{gain:+.1f} [{gain - error:+.1f}, {gain + error:+.1f}]"
        return [*cells, beside, f"{1000 * self.seconds / len(self.regret):.0f}"]


def standard_error(values: Floats) -> float:
    return float(values.std(ddof=1)) / math.sqrt(len(values))


def shown(values: Floats) -> str:
    """The mean with its 95 % interval."""
    return f"{values.mean():.2f} ± {1.96 * standard_error(values):.2f}"


def render(replays: list[Replay], table: ScoreTable) -> str:
    """The results as a page."""
    random = next(replay for replay in replays if replay.name == "random")
    top = math.ceil(TOP * len(table.scores))
    drawn = ", ".join(f"{100 * table.expected_regret(count):.2f} at {count}" for count in CHECKPOINTS)
    lines = [
        f"{len(table.scores):,} architectures; the best scores {table.scores[0]:.4f}, the {top} best at least "
        f"{table.goal:.4f}, the median {np.median(table.scores):.4f}. Means with 95 % intervals.",
        "",
        "| strategy | seeds | regret at 32, points of AP | at 64 | at 128 | evaluations to the best 1 % "
        f"| reached within {LIMIT} | evaluations beside random's | ms of a core a search |",
        "|---|---|---|---|---|---|---|---|---|",
        *(f"| {' | '.join(replay.cells(random))} |" for replay in replays),
        "",
        f"Uniform draws, by calculation: {drawn}.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("strategies", nargs="*", default=STRATEGIES)
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--table", type=Path, default=HERE)
    parser.add_argument("--space", nargs="*", default=[])
    options = parser.parse_args()
    torch.set_num_threads(1)  # the controllers' tensors are tiny, and two threads of them wait for each other
    table = ScoreTable.read(options.table / "table.csv", options.space)
    names = ["random", *(name for name in options.strategies if name != "random")]
    replays = [Replay.of(name, table, options.seeds) for name in names]
    page = render(replays, table)
    print(page)
    if sorted(names) == STRATEGIES:
        (options.table / "results.md").write_text(page)


if __name__ == "__main__":
    main()
