"""`msnas retrain`: the winners and the baselines from scratch, same recipe, judged on the split that is reported.

`msnas retrain ARCH...` trains architectures that the user names instead, as texts or by their names in the zoo; that
needs no search, and begins a run of its own.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from omegaconf import DictConfig, OmegaConf

from msnas.call import Call
from msnas.data.opening import Splits
from msnas.engine.distributed import ALONE, Group, joined
from msnas.errors import ConfigError
from msnas.families.family import family_of
from msnas.families.zoo import architecture_text
from msnas.files import read_json, write_json
from msnas.pipeline.standalone_training import STAGE, Entry, identity, make_table, train_entry
from msnas.runs.folder import OWNED, Run, open_existing, open_new, shared
from msnas.runs.tables import render, scored_by_loss
from msnas.seeds import derive
from msnas.setup.networks import fpn_baseline, network
from msnas.setup.space import baseline_cost, budget_of, input_size, plain_space
from msnas.setup.training import hardware_of, open_splits, record_start
from supernet.space import Budget


def main(call: Call) -> int:
    """Retrain, or go on retraining, the winners of the run that the call's words name, or the named architectures."""
    call = _with_names(call)
    hardware = hardware_of(call.config, threads=call.config.hardware.train_threads)
    with joined(hardware.device) as group, shared(lambda: _open(call), group) as run:
        try:
            retrain(run, call, group)
        finally:
            if group.writes:
                run.forget_unless_begun(STAGE)
    return 0


def _with_names(call: Call) -> Call:
    """The call with its positionals as the option that they stand for."""
    if not call.positionals:
        return call
    quoted = ",".join(f"'{word}'" for word in call.positionals)
    return replace(call, positionals=(), words=(*call.words, f"retrain.architectures=[{quoted}]"))


def _open(call: Call) -> Run:
    """The run of the words; where architectures are named, one of exactly these options, or a new one."""
    if call.config.retrain.architectures is None:
        return open_existing(call.words, stage=STAGE)
    _named(call.config)
    return open_new(call.words, stages=tuple(OWNED))


def retrain(run: Run, call: Call, group: Group = ALONE) -> None:
    """The stage: reads `search/result.json`, leaves a model and its 12 COCO numbers for every network."""
    config = run.config
    if config.retrain.architectures is None:
        run.require("search")
    if run.done(STAGE) is not None:
        if group.writes:
            print(render(read_json(run.folder / STAGE / "table.json"), by_loss=scored_by_loss(config)))
            print(f"The networks of run {run.name} are retrained. Next: msnas report run={run.name}")
        return
    hardware = hardware_of(config, threads=config.hardware.train_threads)
    splits = open_splits(config, say=group.writes)
    entries = list(_entries(run, config, splits))
    if group.writes:
        record_start(run, call, hardware)
    for number, entry in enumerate(entries, start=1):
        if not (run.stage(STAGE) / entry.folder / "result.json").exists():
            if group.writes:
                print(f"Retraining {number} of {len(entries)}: {entry.name}  {entry.architecture}", file=sys.stderr)
            train_entry(config, entry, run.stage(STAGE) / entry.folder, splits, hardware, group)
    if group.writes:
        _finish(run, entries)


@dataclass(frozen=True)
class _Choice:
    """An architecture to train: what it is called, and its one-shot score where a search gave it one."""

    name: str
    architecture: Any
    one_shot: float | None = None


def _chosen(run: Run, config: DictConfig) -> list[_Choice]:
    """The winners by rank, or the architectures that the user names."""
    if config.retrain.architectures is not None:
        return _named(config)
    winners = read_json(run.folder / "search" / "result.json")["finalists"][: config.top_k]
    parse = family_of(config).parse
    return [_Choice(f"winner {w['rank']}", parse(config, w["architecture"]), w["score"]) for w in winners]


def _named(config: DictConfig) -> list[_Choice]:
    """`retrain.architectures` as values. Raises ConfigError and SpaceError."""
    words = config.retrain.architectures
    if not OmegaConf.is_list(words) or not words or len(set(words)) < len(words):
        raise ConfigError(f"retrain.architectures must be a list of different texts or zoo names, but got {words}.")
    choices = []
    for number, word in enumerate(map(str, words), start=1):
        name = word if word.isidentifier() else f"architecture {number}"
        choices.append(_Choice(name, family_of(config).parse(config, architecture_text(word))))
    return choices


def _entries(run: Run, config: DictConfig, splits: Splits) -> Iterator[Entry]:
    """What was chosen, in its order, then the baselines; each of them `retrain.seeds` times."""
    chosen = _chosen(run, config)
    for seed in range(config.retrain.seeds):
        yield from _entries_of_seed(chosen, config, list(splits.train.classes), seed)


def _entries_of_seed(chosen: list[_Choice], config: DictConfig, classes: list[str], seed: int) -> Iterator[Entry]:
    suffix, initial = (f"-seed{seed}", _reseeded(config, seed)) if seed else ("", config)
    for rank, one in enumerate(chosen, start=1):
        cost, text = family_of(config).cost(config, one.architecture, input_size(config)), str(one.architecture)
        build = partial(network, initial, one.architecture, classes)
        folder = f"{rank:02d}-{identity(text)}{suffix}"
        yield Entry(folder, one.name, text, build, cost.macs, cost.params, one.one_shot, seed)
    if config.retrain.fpn:
        cost, text = baseline_cost(config), family_of(config).baseline_name(config)
        build = partial(fpn_baseline, initial, classes)
        yield Entry(f"baseline-fpn{suffix}", "FPN baseline", text, build, cost.macs, cost.params, None, seed)
    if config.retrain.point:
        space = plain_space(config)
        point = space.fpn_like(budget_of(config) or Budget("macs", baseline_cost(config).macs))
        cost, build = space.cost(space.encode(point)), partial(network, initial, point, classes)
        yield Entry(f"baseline-point{suffix}", "FPN point", str(point), build, cost.macs, cost.params, None, seed)


def _reseeded(config: DictConfig, seed: int) -> DictConfig:
    """The configuration from which a network of a later seed takes its initial weights."""
    changed = config.copy()
    changed.seed = derive(config.seed, STAGE, "initial weights", seed)
    return changed


def _finish(run: Run, entries: list[Entry]) -> None:
    results = [read_json(run.stage(STAGE) / entry.folder / "result.json") for entry in entries]
    table = make_table(results)
    write_json(run.stage(STAGE) / "table.json", table)
    write_json(
        run.stage(STAGE) / "done.json",
        {"networks": len(table["rows"]), "seconds": sum(r["seconds"] for r in results)},
    )
    print(render(table, by_loss=scored_by_loss(run.config)))
    print(f"Next: msnas report run={run.name}")
