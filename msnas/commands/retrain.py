"""`msnas retrain`: the winners and the baselines from scratch, same recipe, judged on the split that is reported.

`msnas retrain ARCH...` trains architectures that the user names instead, as texts or by their names in the zoo; that
needs no search, and begins a run of its own.
"""

from msnas.call import Call
from msnas.engine.distributed import joined, quiet_unless_writing
from msnas.pipeline.retraining import named, retrain
from msnas.pipeline.standalone_training import STAGE
from msnas.runs.folder import STAGES
from msnas.setup.open_run import OpenRun, open_existing, open_new, setup_of, shared


def main(call: Call) -> int:
    """Retrain, or go on retraining, the winners of the run that the call's words name, or the named architectures."""
    call = call.with_architectures()
    hardware = setup_of(call.words).hardware.for_training()
    with joined(hardware.device) as group, shared(lambda: _open(call), group) as run:
        quiet_unless_writing(group)
        try:
            answer = retrain(run, call.record, group)
        finally:
            if group.writes:
                run.forget_unless_begun(STAGE)
        if group.writes:
            print(answer)
    return 0


def _open(call: Call) -> OpenRun:
    """The run of the words; where architectures are named, one of exactly these options, or a new one."""
    setup = setup_of(call.words)
    if setup.retrain.architectures is None:
        return open_existing(call.words, stage=STAGE)
    setup.check_detector()  # before the data tell the size at which the named architectures are read
    named(setup)
    return open_new(call.words, stages=tuple(STAGES))
