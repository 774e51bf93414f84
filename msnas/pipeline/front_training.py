"""A family of detectors from one search: networks along its front and FPNs of the same sizes, by one recipe."""

import logging
from collections.abc import Iterator, Sequence

from msnas.engine.devices import describe
from msnas.engine.distributed import ALONE, Group
from msnas.families.family import Baseline
from msnas.pipeline.entries import Choice, entries_of
from msnas.pipeline.front_choice import SAME_SIZE, front_choices
from msnas.pipeline.front_latency import measure
from msnas.pipeline.retraining import all_trained, finish, opened, table_text
from msnas.pipeline.starts import CHOICE, check_starts, starts
from msnas.pipeline.trainings import train_entries
from msnas.runs.folder import BASELINE, DONE, FRONT, SEARCH, record_environment
from msnas.runs.tables import amount
from msnas.setup.open_run import OpenRun

log = logging.getLogger(__name__)


def retrain_front(run: OpenRun, command: Sequence[str], group: Group = ALONE) -> str:
    """The stage: reads the history of the search, leaves a model and its 12 COCO numbers for every network in `front/`.

    command: its words, for the run's record. Returns what the one that writes says in the end.
    """
    run = run.retraining
    run.require(SEARCH)
    extent = {"seeds": run.setup.retrain.seeds}
    if all_trained(run, FRONT, extent):
        return _answer(run, f"The front of run {run.name} is trained. ")
    choices = group.of_first(lambda: front_choices(run))
    check_starts(run)
    hardware, splits = opened(run, group)
    beside = [(baseline, "fpn") for baseline in fpns_of_sizes(run, choices)] if run.setup.front.fpn else []
    if group.writes:
        (run.stage(FRONT) / DONE).unlink(missing_ok=True)
        record_environment(run, command, describe(hardware))
    folder, middle = run.stage(FRONT), choices[len(choices) // 2].architecture
    cost = run.setup.family.cost(middle)
    begin = starts(run, middle, cost, splits, hardware, group, folder=folder / CHOICE)
    entries = list(entries_of(run, choices, beside, splits.train.classes, starts=begin))
    train_entries(run.setup, entries, folder, splits, hardware, group)
    if not group.writes:
        return ""  # the table is not there before the one that writes has made it
    measure(run.setup, entries, folder)
    finish(run, FRONT, extent, order=lambda row: row["macs"])
    return _answer(run, "")


def fpns_of_sizes(run: OpenRun, choices: Sequence[Choice]) -> Iterator[Baseline]:
    """An FPN as large as each network, each once; the family's only one where it has no sizes."""
    family, known = run.setup.family, set()
    for choice in choices:
        found = family.baseline_of_size(family.cost(choice.architecture).macs)
        text, cost, variant = found or (family.baseline_name, family.baseline_cost, None)
        if text not in known:
            _say_how_far(choice.name, family.cost(choice.architecture).macs, cost.macs)
            known.add(text)
            number = len(known)
            yield Baseline(f"{BASELINE}fpn-{number:02d}", f"FPN {number}", text, cost, variant=variant)


def _say_how_far(name: str, wanted: int, macs: int) -> None:
    if abs(macs - wanted) > SAME_SIZE * wanted:
        log.info("No FPN is as large as %s (%s MACs): the nearest has %s.", name, amount(wanted), amount(macs))


def _answer(run: OpenRun, begin: str) -> str:
    text = table_text(run, FRONT)
    return f"{text}\n{begin}Next: msnas report run={run.name}, then msnas export front run={run.name}"
