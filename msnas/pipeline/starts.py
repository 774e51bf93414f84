"""How a network begins: with fresh weights, or with those of its path in the supernet; and which of them is better.

Whoever begins from the supernet trains a share of the schedule. A baseline cannot, and has the whole of it.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from msnas.data.opening import Splits
from msnas.engine.devices import Hardware
from msnas.engine.distributed import Group
from msnas.errors import ConfigError
from msnas.families.candidate_family import weight_sharing
from msnas.families.initial_weights import network
from msnas.files import read_json
from msnas.pipeline.standalone_training import Entry, train_entry
from msnas.runs.folder import RESULT
from msnas.runs.folder import SUPERNET as SUPERNET_STAGE
from msnas.runs.tables import percent
from msnas.setup.open_run import OpenRun
from msnas.setup.options import BOTH, SCRATCH, SUPERNET
from supernet.cost import Cost

WORDS = {SCRATCH: "from scratch", SUPERNET: "from the supernet"}
CHOICE = "choice"  # folder of the trainings that a start is chosen by
log = logging.getLogger(__name__)


def check_starts(run: OpenRun) -> None:
    """Raise ConfigError where networks cannot begin as `retrain.init` says."""
    init = run.setup.retrain.init
    if init == SCRATCH:
        return
    if weight_sharing(run.setup.family) is None:
        raise ConfigError(
            f"retrain.init={init} needs a supernet, but candidates of space={run.setup.space_name} share no weights; "
            f"leave it out."
        )
    if run.done(SUPERNET_STAGE) is None:
        raise ConfigError(
            f"retrain.init={init} needs a run whose supernet is trained, but run {run.name} has none; "
            f"leave it out, or begin with `msnas train`."
        )


def started(run: OpenRun, architecture: Any, classes: Sequence[str], *, start: str, seed: int) -> nn.Module:
    """The detector of one architecture as it begins. seed: of fresh weights; the supernet's are what they are."""
    if start == SCRATCH:
        return network(run.setup.family, architecture, classes, seed=seed)
    family = weight_sharing(run.setup.family)
    assert family is not None, "check_starts"
    supernet: Any = family.candidates(run.weights, classes, seed=run.setup.seed)
    path: nn.Module = supernet.extract(architecture)
    return path


def starts(
    run: OpenRun, architecture: Any, cost: Cost, splits: Splits, hardware: Hardware, group: Group, *, folder: Path
) -> tuple[str, ...]:
    """How chosen architectures begin; of two ways the better one first, told by this architecture.

    The two are trained for it without search_val and scored there, into `folder`: the reported split has no say, and
    neither have images that were trained on.
    """
    if run.setup.retrain.init != BOTH:
        return (run.setup.retrain.init,)
    parts = replace(splits, train=splits.supernet_train, val=splits.search_val)
    aps = {}
    for start in (SCRATCH, SUPERNET):
        place = folder / start
        if not (place / RESULT).exists():
            log.info("Choosing the start: %s", start)
            build = partial(started, run, architecture, splits.train.classes, start=start, seed=run.setup.seed)
            entry = Entry(place.name, f"choice: {start}", str(architecture), build, cost, None, 0, start=start)
            train_entry(run.setup, entry, place, parts, hardware, group)
        aps[start] = group.of_first(partial(read_json, place / RESULT))["ap"]
    return tuple(sorted(aps, key=lambda start: -aps[start]))  # the same: from scratch


def choice_line(folder: Path) -> str:
    """Which start search_val chose, in a line; "" where there was no choice."""
    known = {start: read_json(folder / start / RESULT) for start in (SCRATCH, SUPERNET)}
    if None in known.values():
        return ""
    best, other = sorted(known, key=lambda start: -known[start]["ap"])
    aps = f"{percent(known[best]['ap'])} against {percent(known[other]['ap'])} AP"
    return f"Chosen on search_val: {WORDS[best]} ({aps}, trained without those images)."
