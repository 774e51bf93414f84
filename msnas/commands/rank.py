"""`msnas rank`: can the ranking be believed? Networks drawn inside the budget, scored as in the search and trained.

Every network has a folder in `rank/`: `scores.json` grows by one recipe at a time, `seed0/` and `seed1/` are its
stand-alone trainings, `result.json` is written last. A larger `n` keeps the networks that are there.
"""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from evolution.operators import sample_new
from evolution.strategy import Genome
from msnas.call import Call
from msnas.data.check.object_sizes import collect_boxes
from msnas.data.geometry import REFERENCE_SHORT_SIDE, anchor_hits
from msnas.data.opening import DetectionDataset, Splits
from msnas.engine.checkpoint import differences
from msnas.engine.devices import Hardware, computing_with
from msnas.engine.recipe import Kind, Recipe
from msnas.errors import ConfigError, DataError, RunError, TrainingError
from msnas.families.family import family_of
from msnas.files import read_json, write_json
from msnas.pipeline.candidates import evaluator, recipe_of
from msnas.pipeline.rank_table import RANDOM, RECIPES, make_table, render
from msnas.pipeline.standalone_training import Entry, identity, train_entry
from msnas.runs.folder import Run, open_existing
from msnas.seeds import derive
from msnas.setup.networks import network
from msnas.setup.space import bounded_space, budget_of
from msnas.setup.training import hardware_of, open_splits, record_start
from supernet.cost import Cost
from supernet.strides.architecture import Architecture, stride_levels

STAGE = "rank"
SEEDS = 2  # the first is what scores are compared with, the second is the ceiling
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


def main(call: Call) -> int:
    """Rank, or go on ranking, in the run that the call's words name."""
    run = open_existing(call.words)
    with run.locked():
        rank(run, call)
    return 0


def rank(run: Run, call: Call) -> None:
    """The stage: reads `supernet/weights.safetensors`, leaves `rank/table.json` and a folder for each network."""
    config = run.config
    if not family_of(config).SHARES_WEIGHTS:
        raise RunError(
            f"Only the ranking of a supernet can be measured, but candidates of space={config.space_name} share no "
            "weights; compare what the search scored with AP after `msnas retrain top_k=N`."
        )
    run.require("supernet")
    networks = draw(config, run.folder / STAGE)
    _hold_setting(run)
    pending = [one for one in networks if not one.read("result.json")]
    if pending:
        _measure(run, call, pending)
    results = [one.read("result.json") for one in networks]
    table = make_table(results, own=own_recipe(config), top_k=config.top_k)
    seconds = sum(result["seconds"] for result in results)
    write_json(run.stage(STAGE) / "table.json", table)
    write_json(run.stage(STAGE) / "done.json", {"networks": len(results), "seconds": seconds})
    print(json.dumps(table) if call.json else render(table))


def draw(config: DictConfig, folder: Path) -> list[Network]:
    """`n` different networks drawn uniformly inside the budget; a smaller `n` gives the first of them."""
    space, n = bounded_space(config), config.n
    if n < 2:
        raise ConfigError(f"n >= 2 must hold for a ranking, but got n={n}.")
    rng = np.random.default_rng(derive(config.seed, STAGE, "architectures"))
    genomes = list(sample_new(space, n, set(), rng, max_attempts=KNOWN_DRAWS).children)
    if len(genomes) < n:
        raise ConfigError(f"The budget holds only {len(genomes)} networks to draw, but got n={n}; widen it.")
    networks = []
    for number, genome in enumerate(genomes, start=1):
        architecture = space.decode(genome)
        place = folder / f"{number:02d}-{identity(str(architecture))}"
        networks.append(Network(number, place, genome, architecture, space.cost(genome)))
    return networks


def own_recipe(config: DictConfig) -> str:
    """The recipe that the search of this configuration scores with, by its name here."""
    recipe = recipe_of(config)
    return "raw" if recipe.kind == "finetune" and not recipe.finetunes else recipe.kind


def _hold_setting(run: Run) -> None:
    """Raise RunError where networks of this run were ranked under other options."""
    config, path = run.config, run.stage(STAGE) / "setting.json"
    setting = {
        "budget": str(budget_of(config)),
        "candidate": OmegaConf.to_container(config.candidate, resolve=True),
        "retrain": {"factor": config.retrain.factor, "steps": config.retrain.steps},
    }
    changed = differences(read_json(path) or setting, setting)
    if changed:
        key, (old, new) = next(iter(changed.items()))
        raise RunError(
            f"The ranking of run {run.name} was made with {key}={old}, but got {key}={new}; "
            f"give the option as it was, or delete {STAGE}/ of the run."
        )
    write_json(path, setting)


def _measure(run: Run, call: Call, networks: Sequence[Network]) -> None:
    """Everything that is not known yet of these networks: scores, trainings, then their results."""
    config = run.config
    hardware = hardware_of(config, threads=config.hardware.train_threads)
    splits = open_splits(config)
    if len(splits.search_val) == 0:
        raise DataError("Networks need images to be scored on, but search_val is empty; add training images.")
    record_start(run, call, hardware)
    told = f"{len(networks)} networks: {len(RECIPES) + 1} scores and {SEEDS} trainings of each."
    print(f"Run {run.name}: ranking {told}", file=sys.stderr)
    with computing_with(0):  # scoring sets its own number of threads; training has that of before
        for name in (*RECIPES, RANDOM):
            _score(run, name, networks, splits)
    for seed in range(SEEDS):
        for one in networks:
            _train(config, one, seed, splits, hardware)
    recall = anchor_recall(config, splits.train)
    for one in networks:
        _write_result(one, recall(one.architecture.heads), config.space.base_stride)


def _score(run: Run, name: str, networks: Sequence[Network], splits: Splits) -> None:
    """The score of every network by one recipe, as the search would give it."""
    pending = [one for one in networks if name not in one.read("scores.json")]
    if not pending:
        return
    weights = None if name == RANDOM else run.folder / "supernet" / "weights.safetensors"
    score = evaluator(run.config, weights, splits, recipe=recipe_named(run.config, name))
    for one in pending:
        evaluation = score(one.genome)
        outcome = {"score": evaluation.score[0] if evaluation.ok else None, "reason": evaluation.reason}
        one.folder.mkdir(exist_ok=True)
        write_json(
            one.folder / "scores.json",
            {**one.read("scores.json"), name: {**outcome, "seconds": evaluation.seconds}},
        )
        shown = f"{evaluation.score[0]:.4f}" if evaluation.ok else f"failed: {evaluation.reason}"
        print(f"network {one.number}, {name}: {shown}", file=sys.stderr)


def recipe_named(config: DictConfig, name: str) -> Recipe:
    """A recipe of RECIPES, or RANDOM's finetune, at the numbers of the configuration."""
    kinds: dict[str, Kind] = {"bn": "bn", "bn+finetune": "bn+finetune"}
    iterations = 0 if name == "raw" else config.candidate.iterations
    return replace(recipe_of(config), kind=kinds.get(name, "finetune"), iterations=iterations)


def _train(config: DictConfig, one: Network, seed: int, splits: Splits, hardware: Hardware) -> None:
    """Train it alone as `msnas retrain` would; the first seed equals that, others differ in weights and batches."""
    folder = one.folder / f"seed{seed}"
    if one.read(f"seed{seed}/result.json"):
        return
    initial = config
    if seed:
        initial = config.copy()
        initial.seed = derive(config.seed, STAGE, seed)
    entry = Entry(
        folder=folder.name,
        name=f"network {one.number}, seed {seed}",
        architecture=str(one.architecture),
        build=lambda: network(initial, one.architecture, splits.train.classes),
        macs=one.cost.macs,
        params=one.cost.params,
        one_shot=None,
        seed=seed,
    )
    try:
        train_entry(config, entry, folder, splits, hardware)
    except TrainingError as error:  # told in the result, so that one network does not end the ranking
        print(f"{entry.name} failed: {error}", file=sys.stderr)
        write_json(folder / "result.json", {"ap": None, "reason": str(error), "seconds": 0.0})


def _write_result(one: Network, recall: float, base_stride: int) -> None:
    scores, trained = one.read("scores.json"), [one.read(f"seed{seed}/result.json") for seed in range(SEEDS)]
    result = {
        "architecture": str(one.architecture),
        "genome": list(one.genome),
        "macs": one.cost.macs,
        "params": one.cost.params,
        "mean_stride": float(np.mean(one.architecture.feature_strides(base_stride))),
        "anchor_recall": recall,
        "scores": {name: score["score"] for name, score in scores.items()},
        "standalone": [outcome["ap"] for outcome in trained],
        "seconds": sum(part["seconds"] for part in (*scores.values(), *trained)),
    }
    write_json(one.folder / "result.json", result)


def anchor_recall(config: DictConfig, dataset: DetectionDataset) -> Callable[[Sequence[int]], float]:
    """What gives, for the strides that five heads read, the share of boxes with an anchor of IoU >= 0.5."""
    data, strides = config.data, stride_levels(config.space.base_stride)
    scale = config.detector.get("anchor_scale") or data.short_side / REFERENCE_SHORT_SIDE
    boxes = collect_boxes(dataset.images, data.short_side, data.long_side).sample()
    hits = anchor_hits(boxes.xyxy, boxes.grids, strides, scale)  # [group, stride, box]

    def recall(heads: Sequence[int]) -> float:
        reached = [hits[group, strides.index(stride)] for group, stride in enumerate(heads)]
        return float(np.logical_or.reduce(reached).mean())

    return recall
