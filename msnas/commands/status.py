"""`msnas status [RUN]`: what a run is doing, since when, until when, and what to do next; asked from any terminal.

Everything is read from the run's folder. Whether a process works on it is told by the run's lock, which dies with
its holder: a number of a process may have been given to another one since.
"""

import json
from pathlib import Path

from msnas.call import Call
from msnas.errors import ConfigError
from msnas.runs.state import _folder, run_state, state_lines


def main(call: Call) -> int:
    """Print the state of the named run (a name or a folder), default the one that was worked on last."""
    if len(call.positionals) > 1:
        raise ConfigError(f"Give one run, but got {', '.join(call.positionals)}.")
    config = call.config
    root = Path(config.runs_root)
    name = call.positionals[0] if call.positionals else config.run
    state = run_state(_folder(root, None if name is None else str(name)))
    print(json.dumps(state) if call.json else "\n".join(state_lines(state)))
    return 0
