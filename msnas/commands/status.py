"""`msnas status [RUN]`: what a run is doing, since when, until when, and what to do next; asked from any terminal."""

import json

from msnas.call import Call
from msnas.errors import ConfigError
from msnas.runs.folder import find_run
from msnas.runs.state import state_lines
from msnas.setup.open_run import setup_of, state_of


def main(call: Call) -> int:
    """Print the state of the named run (a name or a folder), default the one that was worked on last."""
    if len(call.positionals) > 1:
        raise ConfigError(f"Give one run, but got {', '.join(call.positionals)}.")
    told = setup_of(call.words).arguments
    state = state_of(find_run(told.runs_root, call.positionals[0] if call.positionals else told.run))
    print(json.dumps(state) if call.json else "\n".join(state_lines(state)))
    return 0
