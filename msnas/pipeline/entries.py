"""The networks that a stage trains: architectures that were chosen and what stands beside them, with every seed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from msnas.families.family import Baseline
from msnas.families.initial_weights import fpn_baseline
from msnas.pipeline.standalone_training import STAGE, Entry, identity
from msnas.pipeline.starts import WORDS, started
from msnas.seeds import derive
from msnas.setup.open_run import OpenRun
from msnas.setup.options import OTHER_START, SCRATCH


@dataclass(frozen=True)
class Choice:
    """An architecture to train: what it is called, its one-shot score where a search gave it one."""

    name: str
    architecture: Any
    one_shot: float | None = None
    role: str | None = None  # of its networks, where they begin as what stands for it


def entries_of(
    run: OpenRun,
    choices: Sequence[Choice],
    beside: Sequence[tuple[Baseline, str | None]],
    classes: Sequence[str],
    *,
    starts: Sequence[str],
) -> Iterator[Entry]:
    """What was chosen, in its order, then what it is compared with, each with its role; `retrain.seeds` times.

    starts: of what was chosen, the one that stands for it first. Architectures beside it begin as that one, so that
    they are trained alike, unless they are baselines without a role: these train the whole schedule, as the FPN does.
    """
    for seed in range(run.setup.retrain.seeds):
        for rank, choice in enumerate(choices, start=1):
            for start in starts:
                yield _chosen(run, choice, rank, classes, seed=seed, start=start, starts=starts)
        for baseline, role in beside:
            yield _baseline(run, baseline, role, classes, seed=seed, start=starts[0])


def _chosen(
    run: OpenRun,
    choice: Choice,
    rank: int,
    classes: Sequence[str],
    *,
    seed: int,
    start: str,
    starts: Sequence[str],
) -> Entry:
    text, stands = str(choice.architecture), start == starts[0]
    build = partial(started, run, choice.architecture, classes, start=start, seed=_initial(run, seed))
    return Entry(
        folder=f"{rank:02d}-{identity(text)}{'' if start == SCRATCH else f'-{start}'}{_suffix(seed)}",
        name=choice.name if len(starts) == 1 else f"{choice.name}, {WORDS[start]}",
        architecture=text,
        build=build,
        cost=run.setup.family.cost(choice.architecture),
        one_shot=choice.one_shot if stands else None,
        seed=seed,
        role=choice.role if stands else OTHER_START,
        start=start,
    )


def _baseline(
    run: OpenRun, baseline: Baseline, role: str | None, classes: Sequence[str], *, seed: int, start: str
) -> Entry:
    initial, start = _initial(run, seed), start if role in ("random", "random_search") else SCRATCH
    if baseline.architecture is None:
        build = partial(fpn_baseline, run.setup.family, classes, seed=initial, variant=baseline.variant)
    else:
        build = partial(started, run, baseline.architecture, classes, start=start, seed=initial)
    folder = f"{baseline.folder}{_suffix(seed)}"
    return Entry(folder, baseline.name, baseline.text, build, baseline.cost, None, seed, role, start)


def _suffix(seed: int) -> str:
    return f"-seed{seed}" if seed else ""


def _initial(run: OpenRun, seed: int) -> int:
    """The seed of fresh weights."""
    return derive(run.setup.seed, STAGE, "initial weights", seed) if seed else run.setup.seed
