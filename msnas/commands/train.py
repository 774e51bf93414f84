"""`msnas train`: the supernet, every step on one random valid path; or the backbone that decoders are searched on."""

from msnas.call import Call
from msnas.engine.distributed import joined, quiet_unless_writing
from msnas.errors import ConfigError
from msnas.pipeline.supernet_training import STAGE, pretrain
from msnas.setup.open_run import open_new, setup_of, shared


def main(call: Call) -> int:
    """Train, or go on training, the run that the call's words name."""
    setup = setup_of(call.words)
    if setup.family_class.pretraining is None:
        raise ConfigError(
            f"space={setup.space_name} shares no weights, so there is no supernet; go on with `msnas search`."
        )
    hardware = setup.hardware.for_training()
    with joined(hardware.device) as group, shared(lambda: open_new(call.words), group) as run:
        quiet_unless_writing(group)
        try:
            answer = pretrain(run, call.record, group)
        finally:
            if group.writes:
                run.forget_unless_begun(STAGE)
        if group.writes:
            print(answer)
    return 0
