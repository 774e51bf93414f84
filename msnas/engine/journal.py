"""`metrics.jsonl`: a line of JSON for every step, in order, none twice however often the run was killed."""

import errno
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from msnas.errors import RunError


class Journal:
    """Appends to `path` from `first_step` on, without what a killed run wrote past it; None: no file."""

    def __init__(self, path: Path | None, *, first_step: int = 0) -> None:
        self._path = path
        if path is not None:
            with _disk_errors(path):
                self._file = open(path, "ab", buffering=0)  # noqa: SIM115  # closed by __exit__
                os.truncate(path, _end_of_steps_before(first_step, path))

    def write(self, record: dict[str, Any]) -> None:
        """One line; it must have an int `step`, larger than the line's before."""
        if self._path is not None:
            with _disk_errors(self._path):
                line = json.dumps(record).encode() + b"\n"
                if self._file.write(line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def sync(self) -> None:
        """Return when every line is on the disk; to be called before the checkpoint after these steps."""
        if self._path is not None:
            with _disk_errors(self._path):
                os.fsync(self._file.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._path is not None:
            self._file.close()


class _disk_errors:  # noqa: N801  # read as a word: `with _disk_errors(path)`
    """Turns what the disk says about `path` into a RunError."""

    def __init__(self, path: Path) -> None:
        self._name = f"{path.parent.name}/{path.name}"

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, OSError):
            fault = f"{self._name} cannot be written ({error.strerror})"
            raise RunError(f"{fault}. Free space or move the run, then go on.") from error


def _end_of_steps_before(step: int, path: Path) -> int:
    """Bytes of the lines whose step is smaller than `step`; a torn last line counts as none."""
    end = 0
    with open(path, "rb") as lines:
        for line in lines:
            if not line.endswith(b"\n") or json.loads(line)["step"] >= step:
                break
            end += len(line)
    return end
