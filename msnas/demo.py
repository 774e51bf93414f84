"""`msnas demo`: every stage in a row, on data that this library draws itself, in minutes on two cores."""

import sys
import time

from msnas.check import check
from msnas.cli import Call
from msnas.progress import duration
from msnas.report_command import write_report
from msnas.retrain import retrain
from msnas.runs import open_new
from msnas.search import search
from msnas.train import train_first

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
