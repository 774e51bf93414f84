"""`msnas export [RUN] rank=1`: a winner as a stand-alone detector: two files, no search code."""

import shutil
from pathlib import Path

from msnas.cli import Call
from msnas.detectors.model_file import JSON, WEIGHTS
from msnas.errors import ConfigError, RunError
from msnas.runs import open_existing


def main(call: Call) -> int:
    """Copy the model of the winner with this rank in the search to `out=`; the reported split has no say in it."""
    if len(call.positionals) > 1:
        raise ConfigError(f"Give one run, but got {', '.join(call.positionals)}.")
    words = [*call.words, *(f"run={Path(name).name}" for name in call.positionals)]
    run = open_existing(words)
    run.require("retrain")
    found = sorted((run.folder / "retrain").glob(f"{call.config.rank:02d}-*/model.json"))
    if not found:
        raise RunError(f"Run {run.name} has no retrained winner of rank {call.config.rank}; see `msnas retrain`.")
    out = Path(call.config.out) if call.config.out else Path(f"{run.name}-rank{call.config.rank}")
    out.mkdir(parents=True, exist_ok=True)
    for name in (WEIGHTS, JSON):
        shutil.copyfile(found[0].parent / name, out / name)
    print(f"{out}: load it with `msnas.load({str(out)!r})`")
    return 0
