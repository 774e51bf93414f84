"""Can the ranking be believed? Networks drawn inside the budget, scored as in the search and trained alone.

Scores are those of the search, trainings those of `msnas retrain`, with the options that retraining has of its own.
Every network has a folder in `rank/`: `scores.json` grows by one recipe at a time, `seed0/` and `seed1/` are its
stand-alone trainings, `result.json` is written last. A larger `n` keeps the networks that are there.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np

from evolution.operators import sample_new
from evolution.strategy import Genome
from msnas.data.check.object_sizes import collect_boxes, head_recall
from msnas.data.opening import Splits
from msnas.differences import differences
from msnas.engine.devices import computing_with, describe
from msnas.engine.hardware_options import refuse_fp16
from msnas.engine.recipe import Kind, Recipe
from msnas.errors import ConfigError, DataError, RunError, TrainingError
from msnas.families.candidate_family import CandidateFamily, weight_sharing
from msnas.families.initial_weights import network
from msnas.families.search_processes import evaluator
from msnas.files import read_json, write_json
from msnas.pipeline.branch_updates import updates_sentence
from msnas.pipeline.prepared_data import prepared
from msnas.pipeline.rank_table import RANDOM, RECIPES, make_table
from msnas.pipeline.standalone_training import Entry, identity
from msnas.pipeline.trainings import train_entries
from msnas.runs.folder import (
    DONE,
    HALFWAY,
    RANK,
    RESULT,
    SCORES,
    SETTING,
    SUPERNET,
    TABLE,
    UPDATES,
    record_environment,
)
from msnas.seeds import derive
from msnas.setup.open_run import OpenRun
from msnas.setup.setup import Setup
from supernet.cost import Cost
from supernet.strides.architecture import Architecture, stride_levels

STAGE = RANK
log = logging.getLogger(__name__)
SEEDS = 2  # scores are compared with the mean of both; how well they agree bounds what a score can reach
KNOWN_DRAWS = 100_000  # draws in a row of known networks after which no new one is expected


@dataclass(frozen=True)
class Network:
    """One network of the ranking: its number from 1, its folder, what is known of it before."""

    number: int
    folder: Path
    genome: Genome
    architecture: Architecture
    cost: Cost

    def read(self, name: str) -> Any:
        """A file of its folder, {} where there is none yet."""
        return read_json(self.folder / name) or {}


def rank(run: OpenRun, command: Sequence[str], *, n: int) -> dict[str, Any]:
    """The stage: reads `supernet/weights.safetensors`, leaves `rank/table.json` and a folder for each network.

    command: its words, for the run's record. Returns the table.
    """
    setup, family = run.setup, weight_sharing(run.setup.family)
    if family is None:
        raise RunError(
            f"Only the ranking of a supernet can be measured, but candidates of space={setup.space_name} share no "
            "weights; `msnas retrain retrain.spread=12` compares what the search scored with AP, from worst to best."
        )
    run.require(SUPERNET)
    refuse_fp16(setup.hardware.precision)
    networks = sample_networks(setup, run.folder / STAGE, n=n)
    _hold_setting(run)
    pending = [one for one in networks if not one.read(RESULT)]
    if pending:
        _measure(run, family, command, pending)
    results = [one.read(RESULT) for one in networks]
    table = make_table(results, own=own_recipe(family), top_k=setup.top_k)
    table["updates"] = updates_sentence(read_json(run.folder / SUPERNET / UPDATES))
    seconds = sum(result["seconds"] for result in results)
    write_json(run.stage(STAGE) / TABLE, table)
    write_json(run.stage(STAGE) / DONE, {"networks": len(results), "seconds": seconds})
    return table


def sample_networks(setup: Setup, folder: Path, *, n: int) -> list[Network]:
    """`n` different networks drawn uniformly inside the budget; a smaller `n` gives the first of them."""
    space = setup.bounded_space
    if n < 2:
        raise ConfigError(f"n >= 2 must hold for a ranking, but got n={n}.")
    rng = np.random.default_rng(derive(setup.seed, STAGE, "architectures"))
    genomes = list(sample_new(space, n, set(), rng, max_attempts=KNOWN_DRAWS).children)
    if len(genomes) < n:
        raise ConfigError(f"The budget holds only {len(genomes)} networks to draw, but got n={n}; widen it.")
    networks = []
    for number, genome in enumerate(genomes, start=1):
        architecture = cast(Architecture, space.decode(genome))  # of the only family that shares weights
        place = folder / f"{number:02d}-{identity(str(architecture))}"
        networks.append(Network(number, place, genome, architecture, space.cost(genome)))
    return networks


def own_recipe(family: CandidateFamily) -> str:
    """The recipe that the search scores with, by its name here."""
    recipe = family.recipe
    return "raw" if recipe.kind == "finetune" and not recipe.finetunes else recipe.kind


def _hold_setting(run: OpenRun) -> None:
    """Raise RunError where networks of this run were ranked under other options, or on another kind of device."""
    setup, path = run.setup, run.stage(STAGE) / SETTING
    own = {key: str(value) for key, value in setup.retraining_changes.items()}
    setting = {
        "budget": str(setup.budget),
        "candidate": setup.candidate_options,
        "hardware": setup.hardware.for_training().kind,
        "retrain": {"factor": setup.retrain.factor, "steps": setup.retrain.steps, **own},
    }
    changed = differences({**setting, **(read_json(path) or {})}, setting)
    if changed:
        key, (old, new) = next(iter(changed.items()))
        raise RunError(
            f"The ranking of run {run.name} was made with {key}={old}, but got {key}={new}; "
            f"give the option as it was, or delete {STAGE}/ of the run."
        )
    write_json(path, setting)


def _measure(run: OpenRun, family: CandidateFamily, command: Sequence[str], networks: Sequence[Network]) -> None:
    """Everything that is not known yet of these networks: scores, trainings, then their results."""
    setup, alone = run.setup, run.setup.for_retraining
    hardware = setup.hardware.for_training()
    splits = prepared(setup, run.splits(), hardware)
    trained_on = splits if alone.data == setup.data else prepared(alone, run.retraining.splits(), hardware)
    if len(splits.search_val) == 0:
        raise DataError("Networks need images to be scored on, but search_val is empty; add training images.")
    record_environment(run, command, describe(hardware))
    what = f"{len(networks)} networks: {len(RECIPES) + 1} scores and {SEEDS} trainings of each"
    log.info("Run %s: ranking %s.", run.name, what)
    with computing_with(0):  # scoring sets its own number of threads; training has that of before
        for name in (*RECIPES, RANDOM):
            _score(run, family, name, networks, splits)
    entries = [_entry(alone, one, seed, splits.train.classes) for seed in range(SEEDS) for one in networks]
    train_entries(alone, entries, run.stage(STAGE), trained_on, hardware, lost=partial(_lost, run.stage(STAGE)))
    boxes = collect_boxes(splits.train.images, setup.data.short_side, setup.data.long_side)
    recall = head_recall(boxes, stride_levels(setup.fit.base_stride), setup.fit.groups.anchors)
    for one in networks:
        _write_result(one, recall(one.architecture.heads), _mean_stride(setup, one.architecture))


def _score(run: OpenRun, family: CandidateFamily, name: str, networks: Sequence[Network], splits: Splits) -> None:
    """The score of every network by one recipe, as the search would give it."""
    pending = [one for one in networks if name not in one.read(SCORES)]
    if not pending:
        return
    weights = None if name == RANDOM else run.weights
    settings = run.setup.search(weights=run.weights, folder=run.folder / STAGE)
    score = evaluator(family, settings, weights, splits, recipe=recipe_named(family, name))
    for one in pending:
        evaluation = score(one.genome)
        outcome = {"score": evaluation.score[0] if evaluation.ok else None, "reason": evaluation.reason}
        one.folder.mkdir(exist_ok=True)
        write_json(
            one.folder / SCORES,
            {**one.read(SCORES), name: {**outcome, "seconds": evaluation.seconds}},
        )
        shown = f"{evaluation.score[0]:.4f}" if evaluation.ok else f"failed: {evaluation.reason}"
        log.info("network %d, %s: %s", one.number, name, shown)


def recipe_named(family: CandidateFamily, name: str) -> Recipe:
    """A recipe of RECIPES, or RANDOM's finetune, at the numbers of the configuration."""
    kinds: dict[str, Kind] = {"bn": "bn", "bn+finetune": "bn+finetune"}
    iterations = 0 if name == "raw" else family.iterations
    return replace(family.recipe, kind=kinds.get(name, "finetune"), iterations=iterations)


def _entry(setup: Setup, one: Network, seed: int, classes: Sequence[str]) -> Entry:
    """It alone, as `msnas retrain` would train it; the first seed equals that, others differ in weights and batches."""
    initial = derive(setup.seed, STAGE, seed) if seed else setup.seed
    return Entry(
        folder=f"{one.folder.name}/seed{seed}",
        name=f"network {one.number}, seed {seed}",
        architecture=str(one.architecture),
        build=partial(network, setup.family, one.architecture, classes, seed=initial),
        cost=setup.family.cost(one.architecture),
        one_shot=None,
        seed=seed,
        halfway=True,
    )


def _lost(folder: Path, entry: Entry, error: TrainingError) -> None:
    """Told in the result, so that one network does not end the ranking."""
    log.info("%s failed: %s", entry.name, error)
    write_json(folder / entry.folder / RESULT, {"ap": None, "reason": str(error), "seconds": 0.0})


def _mean_stride(setup: Setup, architecture: Architecture) -> float:
    """Of the features of all blocks."""
    start = setup.family.start
    strides = architecture.feature_strides(setup.fit.base_stride, start=start.stride if start else None)
    return float(np.mean(strides))


def _write_result(one: Network, recall: float, mean_stride: float) -> None:
    scores, trained = one.read(SCORES), [one.read(f"seed{seed}/{RESULT}") for seed in range(SEEDS)]
    result = {
        "architecture": str(one.architecture),
        "genome": list(one.genome),
        "heads": str(one.architecture).partition("|")[2],
        "macs": one.cost.macs,
        "params": one.cost.params,
        "mean_stride": mean_stride,
        "anchor_recall": recall,
        "scores": {name: score["score"] for name, score in scores.items()},
        "standalone": [outcome["ap"] for outcome in trained],
        "standalone_half": [one.read(f"seed{seed}/{HALFWAY}").get("ap") for seed in range(SEEDS)],
        "without_residuals": [outcome.get("ap_without_residuals") for outcome in trained],
        "seconds": sum(part["seconds"] for part in (*scores.values(), *trained)),
    }
    write_json(one.folder / RESULT, result)
