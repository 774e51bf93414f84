"""`msnas report [RUN...]`: one self-contained page of a run, or of several side by side."""

from pathlib import Path

from msnas.call import Call
from msnas.report.page import report
from msnas.runs.folder import find_run
from msnas.setup.open_run import setup_of


def main(call: Call) -> int:
    """Write the page of the named runs (folders or names), default the newest, and say where it is."""
    config = setup_of(call.words).config
    names = call.positionals or (None if config.run is None else str(config.run),)
    folders = [find_run(Path(config.runs_root), name) for name in names]
    print(report(folders, Path(config.out) if config.out else None))
    return 0
