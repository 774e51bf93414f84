"""`msnas runs`: lists runs with size and state; `keep=N` prunes the checkpoints of all but the newest N."""

import json
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from msnas.call import Call
from msnas.errors import ConfigError
from msnas.runs.folder import CHECKPOINT, STAGES, newest
from msnas.runs.state import StageState, stage_state
from msnas.setup.open_run import setup_of

SHOWN = {StageState.COMPLETE: str(StageState.COMPLETE), StageState.STOPPED: "begun", StageState.WAITING: "-"}


def main(call: Call) -> int:
    """Print the runs, newest first; prune first where `keep=` says so."""
    told = setup_of(call.words).arguments
    root, keep = told.runs_root, told.keep
    folders = newest(root)
    if keep is not None:
        if not isinstance(keep, int) or keep < 0:
            raise ConfigError(f"keep must be a whole number of at least 0, but got {keep!r}.")
        freed = sum(_prune(folder) for folder in folders[keep:])
        print(f"Pruned checkpoints: {_size(freed)} freed.")
    rows = [_row(folder) for folder in folders]
    if call.json:
        print(json.dumps(rows))
    elif rows:
        _print(rows)
    else:
        print(f"There is no run in {root}/ yet; `msnas train` makes one, `msnas demo` shows all stages.")
    return 0


def _row(folder: Path) -> dict[str, Any]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        "run": folder.name,
        "state": {stage: SHOWN[stage_state(folder / stage)] for stage in STAGES},
        "bytes": sum(path.stat().st_size for path in files),
        "changed": max(path.stat().st_mtime for path in files),
    }


def _prune(folder: Path) -> int:
    """Delete the checkpoints of complete stages, which nothing reads any more; returns the bytes freed."""
    freed = 0
    for checkpoint in folder.rglob(CHECKPOINT):
        stage = folder / checkpoint.relative_to(folder).parts[0]
        if stage_state(stage) == StageState.COMPLETE:
            freed += checkpoint.stat().st_size
            checkpoint.unlink()
    return freed


def _print(rows: list[dict[str, Any]]) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("run", *STAGES, "size", "last change"):
        table.add_column(title)
    for row in rows:
        changed = time.strftime("%Y-%m-%d %H:%M", time.localtime(row["changed"]))
        table.add_row(row["run"], *(row["state"][stage] for stage in STAGES), _size(row["bytes"]), changed)
    Console().print(table)


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
