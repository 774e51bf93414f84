"""`msnas demo`: every stage in a row, on data that this library draws itself, in minutes on two cores."""

import sys
import time

from msnas.call import Call
from msnas.commands.check import check
from msnas.commands.report import write_report
from msnas.commands.retrain import retrain
from msnas.commands.search import search
from msnas.pipeline.supernet_training import train_first
from msnas.runs.folder import open_new
from msnas.runs.progress import duration

NAME = "demo"


def main(call: Call) -> int:
    """Run what is not complete yet of check, train, search, retrain and report; the run is called `demo`."""
    words = ("experiment=demo", *(() if call_names_run(call) else (f"run={NAME}",)), *call.words)
    began = time.monotonic()
    run = open_new(words)
    call = Call("demo", (), words)
    try:
        with run.locked():
            report = check(run.config)
            if not report.sound:
                return 1
            for name, stage in (("train", train_first), ("search", search), ("retrain", retrain)):
                print(f"--- {name}", file=sys.stderr)
                stage(run, call)
            page = write_report([run.folder])
    finally:
        run.forget_unless_begun("supernet")
    print(f"The demo took {duration(time.monotonic() - began)}. Open {page} in a browser.")
    return 0


def call_names_run(call: Call) -> bool:
    """Whether the user chose the run's name."""
    return any(word.startswith("run=") for word in call.words)
