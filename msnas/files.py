"""Files of a run: read strictly, and written so that none is ever half there under its final name; paths and texts
that a user gave.
"""

import codecs
import errno
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from msnas.errors import ConfigError, RunError

# What a disk, or a path that the user gave, can be wrong about; any other fault of the system is one of ours.
_RIGHTS = (errno.EACCES, errno.EROFS, errno.EPERM)
_PATHS = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)  # what a disk that takes no more says
DISK = (*FULL, *_RIGHTS, *_PATHS)


def at_home(path: str, what: str) -> str:
    """`path`, which begins with `~` or `~USER`, with that home folder in full. Raises ConfigError where there is none.

    what: the option, for the message.
    """
    try:
        return str(Path(path).expanduser())
    except RuntimeError:
        rule = f"{what} must begin with a home folder that exists"
        raise ConfigError(f"{rule}, but got {path!r}; ./{path} is a folder of that name.") from None


def decoded(content: bytes) -> str:
    """Text in UTF-8, or in UTF-16 as PowerShell's `>` writes it, which a mark at the beginning tells.

    Raises UnicodeDecodeError.
    """
    marks = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    return content.decode("utf-16" if content.startswith(marks) else "utf-8-sig")


def read_json(path: Path) -> Any:
    """The file's content, None where it does not exist. Raises RunError where it is no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    except ValueError as error:
        raise damaged(path, error) from error


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The records of a JSON-lines file, none where it does not exist; a last line that is cut off is left out."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    try:
        return [json.loads(line) for line in lines if line.endswith("\n")]
    except ValueError as error:
        raise damaged(path, error) from error


def write_json(path: Path, content: Any) -> None:
    """Write so that `path` holds the old or the new content at any instant."""
    write_text(path, json.dumps(content, indent=1))


def write_text(path: Path, text: str) -> None:
    """Write so that `path` holds the old or the new text at any instant."""
    with written(path) as partial:
        partial.write_text(text, encoding="utf-8")


@contextmanager
def written(path: Path, *, sync: bool = True) -> Iterator[Path]:
    """A file beside `path` to write to; whole, and with `sync` on the disk, it becomes `path` at the end.

    An error inside leaves `path` as it was and nothing else. What the system said, also where torch or safetensors
    wrapped it, is an OSError whose `filename` is `path`.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        if sync:
            _sync(partial)
        partial.replace(path)
        if sync:
            _sync(path.parent)  # the rename itself is on the disk too
    except BaseException as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        fault = _system_fault(error)
        if fault is None or (fault.errno not in FULL and fault.filename not in (None, str(partial))):
            raise
        raise OSError(fault.errno, fault.strerror, str(path)) from error


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _system_fault(error: BaseException) -> OSError | None:
    """The system's own error in what a library raised: torch raises on top of it, safetensors quotes its number."""
    for fault in (error, error.__context__):
        if isinstance(fault, OSError) and fault.errno is not None:
            return fault
    quoted = re.search(r"Os \{ code: (\d+)", str(error))
    return OSError(int(quoted[1]), os.strerror(int(quoted[1]))) if quoted else None


def damaged(path: Path, why: object) -> RunError:
    said = " ".join(str(why).split())
    return RunError(f"{path} is damaged ({said}); restore a copy, or delete it and give its stage's command again.")


def digest(weights: Path) -> str:
    """Sixteen letters that stand for the content of a file of weights."""
    with open(weights, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def disk_fault(error: OSError) -> str:
    """What a fault of DISK is told as."""
    place = f" at {error.filename}" if error.filename else ""
    hint = "Free space, or name another file or folder (runs_root=, out=)."
    return f"cannot read or write{place}: {error.strerror}. {hint}"


def cache_folder() -> Path:
    """Where what can be made again is kept: `.msnas_cache` here, or the folder that MSNAS_CACHE names."""
    cache = Path(os.environ.get("MSNAS_CACHE", ".msnas_cache"))
    cache.mkdir(parents=True, exist_ok=True)
    ignore = cache / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")  # a cache is nobody's work to commit
    return cache
