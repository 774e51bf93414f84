"""`msnas retrain`: the winners and the baselines from scratch, same recipe, judged on the split that is reported.

`msnas retrain ARCH...` trains architectures that the user names instead, as texts or by their names in the zoo; that
needs no search, and begins a run of its own. `msnas retrain front` trains several networks along the search's front.
"""

from dataclasses import replace

from msnas.call import Call
from msnas.engine.distributed import joined, quiet_unless_writing
from msnas.pipeline.front_training import retrain_front
from msnas.pipeline.retraining import named, retrain
from msnas.pipeline.standalone_training import STAGE
from msnas.runs.folder import FRONT, STAGES
from msnas.setup.open_run import OpenRun, open_existing, open_new, setup_of, shared
from msnas.setup.zoo import with_published_shape


def main(call: Call) -> int:
    """Retrain, or go on retraining, the winners of the run that the call's words name, or the named architectures."""
    of_front = call.positionals == (FRONT,)
    if of_front:
        call = replace(call, positionals=())
    else:
        call = replace(call, words=with_published_shape(call.with_architectures().words))
    stage, train = (FRONT, retrain_front) if of_front else (STAGE, retrain)
    record = (call.command, *((FRONT,) if of_front else ()), *call.words)
    hardware = setup_of(call.words).hardware.for_training()
    with joined(hardware.device) as group, shared(lambda: _open(call, stage), group) as run:
        quiet_unless_writing(group)
        try:
            answer = train(run, record, group)
        finally:
            if group.writes:
                run.forget_unless_begun(stage)
        if group.writes:
            print(answer)
    return 0


def _open(call: Call, stage: str) -> OpenRun:
    """The run of the words; where architectures are named, one of exactly these options, or a new one."""
    setup = setup_of(call.words)
    if stage == FRONT or setup.retrain.architectures is None:
        return open_existing(call.words, stage=stage)
    setup.check_detector()  # before the data tell the size at which the named architectures are read
    named(setup)
    return open_new(call.words, stages=tuple(STAGES))
