"""`msnas report [RUN...]`: one self-contained page of a run, or of several side by side."""

from collections.abc import Sequence
from pathlib import Path

from msnas.call import Call
from msnas.errors import RunError
from msnas.runs.folder import newest


def main(call: Call) -> int:
    """Write the page of the named runs (folders or names), default the newest, and say where it is."""
    config = call.config
    root = Path(config.runs_root)
    names = call.positionals or ((str(config.run),) if config.run else ())
    folders = [_folder(root, name) for name in names] or newest(root)[:1]
    if not folders:
        raise RunError(f"There is no run in {root}/ yet; `msnas train` makes one, `msnas demo` shows all stages.")
    print(write_report(folders, Path(config.out) if config.out else None))
    return 0


def write_report(folders: Sequence[Path], path: Path | None = None) -> Path:
    """The page of these runs, by default `report.html` in the first one's folder."""
    from msnas.report.page import report

    return report(folders, path)


def _folder(root: Path, name: str) -> Path:
    for folder in (Path(name), root / name):
        if (folder / "config.yaml").exists():
            return folder
    known = ", ".join(folder.name for folder in newest(root)[:5]) or "none"
    raise RunError(f"There is no run {name!r}; there are: {known}.")
