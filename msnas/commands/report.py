"""`msnas report [RUN...]`: one self-contained page of a run, or of several side by side."""

from msnas.call import Call
from msnas.report.page import report
from msnas.runs.folder import find_run
from msnas.setup.open_run import setup_of


def main(call: Call) -> int:
    """Write the page of the named runs (folders or names), default the newest, and say where it is."""
    told = setup_of(call.words).arguments
    folders = [find_run(told.runs_root, name) for name in call.positionals or (told.run,)]
    print(report(folders, told.out))
    return 0
