"""The last stage: winners, or architectures that the user names, and the baselines, by one recipe."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from msnas.data.opening import Splits
from msnas.engine.devices import Hardware, describe
from msnas.engine.distributed import ALONE, Group
from msnas.families.family import Baseline
from msnas.files import read_json, write_json
from msnas.pipeline.entries import Choice, entries_of
from msnas.pipeline.prepared_data import prepared
from msnas.pipeline.random_beside import ROLE, best_at_random
from msnas.pipeline.recipe_line import recipe_line
from msnas.pipeline.score_spread import spread_choices
from msnas.pipeline.standalone_training import STAGE, make_table
from msnas.pipeline.starts import CHOICE, check_starts, choice_line, starts
from msnas.pipeline.trainings import seconds_taken, train_entries
from msnas.runs.folder import BASELINE, DONE, RESULT, SEARCH, TABLE, record_environment
from msnas.runs.tables import render
from msnas.seeds import derive
from msnas.setup.open_run import OpenRun
from msnas.setup.options import BOTH
from msnas.setup.setup import Setup
from msnas.setup.zoo import architecture_text, published


def retrain(run: OpenRun, command: Sequence[str], group: Group = ALONE) -> str:
    """The stage: reads `search/result.json`, leaves a model and its 12 COCO numbers for every network.

    command: its words, for the run's record. Returns what the one that writes says in the end.
    """
    run = run.retraining
    setup = run.setup
    if setup.retrain.architectures is None:
        run.require(SEARCH)
    if all_trained(run, STAGE, setup.retrain.extent):
        return _answer(run, f"The networks of run {run.name} are retrained. ")
    check_starts(run)
    hardware, splits = opened(run, group)
    choices = group.of_first(lambda: chosen(run))
    first = choices[0].architecture
    beside = [*baselines(setup, first), *drawn_at_random(run, choices)]
    if group.writes:
        (run.stage(STAGE) / DONE).unlink(missing_ok=True)
        record_environment(run, command, describe(hardware))
    place = run.stage(STAGE) / CHOICE
    begin = starts(run, first, setup.family.cost(first), splits, hardware, group, folder=place)
    entries = list(entries_of(run, choices, beside, splits.train.classes, starts=begin))
    train_entries(setup, entries, run.stage(STAGE), splits, hardware, group)
    if not group.writes:
        return ""  # the table is not there before the one that writes has made it
    finish(run, STAGE, setup.retrain.extent)
    return _answer(run, "")


def all_trained(run: OpenRun, stage: str, extent: Mapping[str, Any]) -> bool:
    """Whether the stage is complete, and to this extent: more seeds or baselines may be asked for later."""
    done = run.done(stage)
    return done is not None and done.get("extent", extent) == extent


def opened(run: OpenRun, group: Group) -> tuple[Hardware, Splits]:
    """What networks are trained on, and the data as they read them."""
    hardware = run.setup.hardware.for_training_in(group)
    decides = run.setup.retrain.init == BOTH  # on search_val, which then must have boxes
    return hardware, prepared(run.setup, run.splits(scoring=decides, writes=group.writes), hardware)


def _answer(run: OpenRun, begin: str) -> str:
    return f"{table_text(run, STAGE)}\n{begin}Next: msnas report run={run.name}"


def table_text(run: OpenRun, stage: str) -> str:
    """The table of a stage's networks; under it what their recipe has of its own, and how their start was chosen."""
    table = render(read_json(run.folder / stage / TABLE), by_loss=run.setup.family.scored_by_loss)
    return "\n".join(filter(None, (table, recipe_line(run.setup), choice_line(run.folder / stage / CHOICE))))


def chosen(run: OpenRun) -> list[Choice]:
    """The winners by rank, or the architectures that the user names."""
    setup = run.setup
    if setup.retrain.architectures is not None:
        return _led(named(setup))
    # More finalists may be asked for than the search was, but not those above a ceiling of exported networks.
    found_in = "finalists" if setup.exported_ms is None else "winners"
    winners = read_json(run.folder / SEARCH / RESULT)[found_in][: setup.top_k]
    parse = setup.family.parse
    found = [Choice(f"winner {w['rank']}", parse(w["architecture"]), w["score"]) for w in winners]
    return _led([*found, *spread_choices(run, found)])


def _led(choices: list[Choice]) -> list[Choice]:
    """The same; the first is what the report takes apart."""
    return [replace(choices[0], role="winner"), *choices[1:]]


def named(setup: Setup) -> list[Choice]:
    """`retrain.architectures` as values. Raises ConfigError and SpaceError."""
    choices = []
    for number, word in enumerate(setup.retrain.architectures or (), start=1):
        name = _published_name(setup, word) if word.isidentifier() else f"architecture {number}"
        choices.append(Choice(name, setup.family.parse(architecture_text(word, setup.config_dir))))
    return choices


def _published_name(setup: Setup, name: str) -> str:
    """The network's name, or what has its architecture and another shape."""
    shape = [word for word in published(name, setup.config_dir).options if not word.startswith("baseline.")]
    other = setup.departures(shape)
    return f"architecture of {name}, {', '.join(other)}" if other else name


def baselines(setup: Setup, winner: Any) -> Iterator[tuple[Baseline, str | None]]:
    """What the winner is compared with, each with its role in the split of the gain.

    The budget has its say at the input size of the search, costs are counted at that of retraining.
    """
    family, searched, options = setup.family, setup.for_search.family, setup.retrain
    if options.fpn:
        yield Baseline(f"{BASELINE}fpn", "FPN baseline", family.baseline_name, family.baseline_cost), "fpn"
    if options.fpn_heads and (with_heads := family.fpn_with_heads_of(winner)) is not None:
        yield with_heads, "fpn_heads"
    for point in searched.points(setup.budget) if options.point else ():
        yield replace(point, cost=family.cost(point.architecture)), None
    if options.random:
        rng = np.random.default_rng(derive(setup.seed, STAGE, "random"))
        for number, one in enumerate(searched.alike(winner, setup.budget, options.random, rng), start=1):
            folder = f"{BASELINE}random-{number:02d}"
            yield Baseline(folder, f"random {number}", str(one), family.cost(one), one), "random"


def drawn_at_random(run: OpenRun, choices: Sequence[Choice]) -> Iterator[tuple[Baseline, str | None]]:
    """The best of random search, where it stood beside the search and found another network than that did."""
    found = best_at_random(run) if run.setup.retrain.architectures is None else None
    if found is not None and found.text not in {str(choice.architecture) for choice in choices}:
        yield found, ROLE


def finish(run: OpenRun, stage: str, extent: Mapping[str, Any], order: Callable[[Any], Any] | None = None) -> None:
    """Write the table of all networks that the stage has trained, also of those that a larger extent asked for before.

    order: of its rows; None: the best AP first.
    """
    folder = run.stage(stage)
    results = [read_json(path) for path in sorted(folder.glob(f"*/{RESULT}"))]
    table = make_table(results)
    if order is not None:
        table["rows"].sort(key=order)
    write_json(folder / TABLE, table)
    seconds = seconds_taken(folder, results)
    write_json(folder / DONE, {"networks": len(table["rows"]), "seconds": seconds, "extent": extent})
