"""`msnas train`: the supernet, every step on one random valid path; or the backbone that decoders are searched on."""

from msnas.call import Call
from msnas.engine.distributed import joined
from msnas.errors import ConfigError
from msnas.families.family import family_of
from msnas.pipeline.supernet_training import STAGE, train_first
from msnas.runs.folder import open_new, shared
from msnas.setup.training import hardware_of


def main(call: Call) -> int:
    """Train, or go on training, the run that the call's words name."""
    if not family_of(call.config).FIRST:
        raise ConfigError(
            f"space={call.config.space_name} shares no weights, so there is no supernet; go on with `msnas search`."
        )
    hardware = hardware_of(call.config, threads=call.config.hardware.train_threads)
    with joined(hardware.device) as group, shared(lambda: open_new(call.words), group) as run:
        try:
            train_first(run, call, group)
        finally:
            if group.writes:
                run.forget_unless_begun(STAGE)
    return 0
