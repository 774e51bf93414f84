"""Files of a run: read strictly, and written so that none is ever half there under its final name."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from msnas.errors import RunError


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
    partial = path.with_name(f".{path.name}.partial")
    try:
        with open(partial, "w") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def damaged(path: Path, why: object) -> RunError:
    said = " ".join(str(why).split())
    return RunError(f"{path} is damaged ({said}); restore a copy, or delete it and give its stage's command again.")


def digest(weights: Path) -> str:
    """Sixteen letters that stand for the content of a file of weights."""
    with open(weights, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
