"""One network alone: trained from where it starts, judged on the split that is reported, saved with its numbers."""

import hashlib
import json
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from evolution.ranking import kendall_tau
from msnas.data.batches import batches_of
from msnas.data.group_recall import group_recall
from msnas.data.opening import Splits
from msnas.engine.delivery import Delivery
from msnas.engine.devices import Hardware
from msnas.engine.distributed import ALONE, Group
from msnas.engine.evaluation import EvaluationResult, evaluate
from msnas.engine.loop import Training, train
from msnas.engine.schedule import Schedule
from msnas.engine.training_files import TrainingFiles
from msnas.export import model_file
from msnas.files import write_json, write_text
from msnas.pipeline.tensorboard import Board, training_board
from msnas.runs.folder import DETECTIONS, HALFWAY, RESULT, RETRAIN, STATUS
from msnas.runs.progress import Progress
from msnas.seeds import derive
from msnas.setup.options import SCRATCH, SUPERNET
from msnas.setup.setup import Setup
from supernet.backbone import Backbone
from supernet.cost import Cost
from supernet.weight_sources import NONE

STAGE = RETRAIN


@dataclass(frozen=True)
class Entry:
    """One network to train: its folder's name, how it is built, and what is known of it before."""

    folder: str
    name: str
    architecture: str
    build: Callable[[], nn.Module]
    cost: Cost
    one_shot: float | None
    seed: int
    role: str | None = None  # in the report: winner, fpn, fpn_heads, random, random_search, spread or OTHER_START
    start: str = SCRATCH  # what `build` gives: fresh weights, or those of a path of the supernet
    halfway: bool = False  # also evaluated after half of its steps


def identity(architecture: str) -> str:
    """Eight letters that stand for an architecture in a folder's name."""
    return hashlib.sha256(architecture.encode()).hexdigest()[:8]


def schedule_of(setup: Setup, entry: Entry, images: int) -> Schedule:
    """The schedule of one training. images: that are trained on."""
    options = setup.retrain
    return setup.schedule.over(images, steps=options.steps, factor=options.factor * options.share(entry.start))


def train_entry(
    setup: Setup,
    entry: Entry,
    folder: Path,
    splits: Splits,
    hardware: Hardware,
    group: Group = ALONE,
    *,
    quiet: bool = False,
) -> None:
    """Train, evaluate on the reported split, save into `folder`; the result is written last.

    What starts from the supernet trains a share of the schedule and estimates its norms' statistics anew, as a
    candidate does: the supernet's are of all paths. quiet: no progress is shown, as another process shows it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    seed = derive(setup.seed, STAGE, entry.seed)
    schedule, every = schedule_of(setup, entry, len(splits.train)), setup.retrain.checkpoint_every
    model, delivery = entry.build(), Delivery(schedule.batch)
    with (
        Progress(entry.name, schedule.steps, status=folder / STATUS, quiet=quiet or not group.writes) as progress,
        Board(folder, on=setup.tensorboard and group.writes) as board,
    ):
        on_board = training_board(board, model, splits.val, every=every, steps=schedule.steps, hardware=hardware)

        def report(line: Mapping[str, Any]) -> None:
            delivery.add(line)
            progress.update(line["step"] + 1, f"loss {line['loss']:.3f}, {delivery}")
            on_board(line)
            if entry.halfway and line["step"] + 1 == schedule.steps // 2:
                half = evaluate(model, splits.val, hardware=hardware).numbers["ap"]
                write_json(folder / HALFWAY, {"steps": schedule.steps // 2, "ap": half})

        batches = batches_of(
            setup.data, splits.train, batch=schedule.batch, seed=seed, rank=group.rank, world_size=group.size
        )
        training = Training(
            schedule=schedule,
            seed=seed,
            stage=STAGE,
            restart_statistics=entry.start == SUPERNET,
            hardware=hardware,
            group=group,
        )
        known = {key: value for key, value in setup.network_fingerprint.items() if key != "space"}
        made_with = {"network": entry.architecture, **known}
        files = TrainingFiles(folder=folder, every=every, fingerprint=made_with)
        trained = train(model, batches, training, files=files, report=report)
        result = evaluate(model, splits.val, hardware=hardware, group=group)
        board.scalars(schedule.steps - 1, result.numbers, part="val")
        extra = {"start": entry.start, "steps": schedule.steps}
        extra |= _diagnosis(setup, model, splits, hardware, group)
    if group.writes:
        _save(model, entry, splits, result, folder, trained.seconds, {**extra, **_by_size(setup, splits, result)})


def _diagnosis(setup: Setup, model: nn.Module, splits: Splits, hardware: Hardware, group: Group) -> dict[str, float]:
    """What AP is left without the residual branches, where the network has any: does the trunk carry it?"""
    block = setup.family.without_trunk(model)
    if block is None:
        return {}
    with block:
        left = evaluate(model, splits.val, hardware=hardware, group=group)
    return {"ap_without_residuals": left.numbers["ap"]}


def _by_size(setup: Setup, splits: Splits, result: EvaluationResult) -> dict[str, Any]:
    """The recall of each group of object sizes, where heads serve such groups, and the groups' borders in pixels."""
    if not setup.family.has_size_groups:
        return {}
    groups, sides = setup.fit.groups, (setup.data.short_side, setup.data.long_side)
    recall = group_recall(splits.val.ground_truth(), result.detections, groups, *sides)
    return {"group_recall": recall, "group_borders": list(groups.borders)}


def _save(
    model: nn.Module,
    entry: Entry,
    splits: Splits,
    result: EvaluationResult,
    folder: Path,
    seconds: float,
    extra: Mapping[str, Any],
) -> None:
    meta = {
        "classes": list(splits.train.classes),
        "category_ids": list(splits.train.category_ids),
        "name": entry.name,
        "architecture": entry.architecture,
        "white": splits.train.white,
        "weights": began_with(model, entry),
    }
    model_file.save(folder, model, meta)
    write_text(folder / DETECTIONS, json.dumps(result.detections))
    row: dict[str, Any] = {"name": entry.name, "architecture": entry.architecture}
    row |= {"macs": entry.cost.macs, "params": entry.cost.params}
    row |= {**result.numbers, "one_shot": entry.one_shot, "seconds": seconds, "seed": entry.seed, **extra}
    row["weights"] = meta["weights"]
    row |= {} if entry.role is None else {"role": entry.role}
    write_json(folder / RESULT, row)


def began_with(model: nn.Module, entry: Entry) -> str:
    """The weights that its backbone began with, "none" where all were fresh, or that it began as a supernet's path."""
    if entry.start == SUPERNET:
        return SUPERNET
    return next((module.began_with for module in model.modules() if isinstance(module, Backbone)), NONE)


def make_table(results: list[dict[str, Any]]) -> dict[str, Any]:
    """One row a network, means over its seeds with the spread of AP; best AP first; tau over the winners."""
    by_network: dict[str, list[dict[str, Any]]] = {}
    for result in results:
        by_network.setdefault(result["name"], []).append(result)
    rows = []
    for runs in by_network.values():
        numbers = {
            k: statistics.fmean(r[k] for r in runs)
            for k in runs[0]
            if k.startswith(("ap", "ar")) and k != "architecture"
        }
        spread = statistics.stdev(r["ap"] for r in runs) if len(runs) > 1 else None
        fixed = {k: runs[0][k] for k in ("name", "architecture", "macs", "params", "one_shot")}
        fixed |= {k: runs[0][k] for k in ("start", "steps") if k in runs[0]}
        rows.append({**fixed, **numbers, "ap_spread": spread, "seeds": len(runs)})
    scored = [row for row in rows if row["one_shot"] is not None]
    tau = kendall_tau([row["one_shot"] for row in scored], [row["ap"] for row in scored])
    return {"rows": sorted(rows, key=lambda row: -row["ap"]), "tau": tau, "tau_points": len(scored)}
