"""`--estimate` behind `train`, `search` and `retrain`: what that stage and those after it will take; begins nothing."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace

from rich.table import Table

from msnas.call import Call
from msnas.pipeline.forecast import Forecast, forecast
from msnas.pipeline.front_forecast import forecast_front
from msnas.runs.folder import FRONT, SUPERNET
from msnas.runs.progress import duration
from msnas.runs.tables import text_of
from msnas.setup.open_run import open_existing, setup_to_be
from msnas.setup.setup import Setup
from msnas.setup.zoo import with_published_shape

STAGES = ("train", "search", "retrain")


def main(call: Call) -> int:
    """Measure a few steps and print the table."""
    if call.positionals == (FRONT,):
        run = open_existing(call.words)
        return _told(call, [forecast_front(run)], run.setup)
    call = replace(call, words=with_published_shape(call.with_architectures().words))
    setup, weights = setup_to_be(call.words), None
    if call.command == "search" and setup.family_class.pretraining == "supernet":
        run = open_existing(call.words)
        setup, weights = run.setup, run.weights if run.done(SUPERNET) else None
    elif call.command == "retrain" and not setup.names_architectures:
        setup = open_existing(call.words).setup
    stages = STAGES[STAGES.index(call.command) :]
    return _told(call, forecast(setup, stages=stages, weights=weights), setup)


def _told(call: Call, forecasts: Sequence[Forecast], setup: Setup) -> int:
    if call.json:
        print(json.dumps([asdict(one) for one in forecasts]))
    else:
        print(f"{_table(forecasts)}{how_measured(setup.hardware.gpus())}")
    return 0


def how_measured(gpus: int) -> str:
    """What the numbers come from, and what more GPUs than one would change."""
    measured = "By a few steps with fresh weights, measured now on this machine."
    if gpus < 2:
        return measured
    return (
        f"{measured} One GPU takes the steps of train and retrain here, a share of {gpus} at a time; under torchrun "
        f"{gpus} of them share each step, which takes an {gpus}th at best."
    )


def _table(forecasts: Sequence[Forecast]) -> str:
    grid = Table(box=None, header_style="bold", pad_edge=False)
    grid.add_column("stage")
    grid.add_column("what it does", overflow="fold")
    for title in ("time", "memory", "disk"):
        grid.add_column(title, justify="right")
    for one in forecasts:
        grid.add_row(one.stage, one.work, duration(one.seconds), _gigabytes(one.memory), _gigabytes(one.disk))
    grid.add_row(
        "in all",
        "",
        duration(sum(one.seconds for one in forecasts)),
        "",
        _gigabytes(sum(one.disk for one in forecasts)),
    )
    return text_of(grid, 120)


def _gigabytes(number: int) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e8 else f"{number / 1e6:.0f} MB"
