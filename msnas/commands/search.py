"""`msnas search`: a strategy inside the budget; every candidate briefly finetuned from the supernet, then scored."""

from msnas.call import Call
from msnas.pipeline.searching import STAGE, search
from msnas.setup.open_run import OpenRun, open_existing, open_new, setup_of


def main(call: Call) -> int:
    """Search, or go on searching, in the run that the call's words name."""
    run = _open(call)
    try:
        with run.locked():
            print(search(run, call.record))
    finally:
        run.forget_unless_begun(STAGE)
    return 0


def _open(call: Call) -> OpenRun:
    """The run of the words; a family without a supernet may begin one with a search."""
    if setup_of(call.words).family_class.pretraining == "supernet":
        return open_existing(call.words, stage=STAGE)
    run = open_new(call.words)
    return open_existing([*call.words, f"run={run.name}"], stage=STAGE)
