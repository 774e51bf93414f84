"""What a training needs to go on, as one flat dict in one file; and weights alone, for the next stage.

A file has its final name only when it is complete and on the disk. Nothing is ever unpickled (`weights_only=True`,
safetensors).
"""

import json
import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from msnas.differences import differences
from msnas.errors import RunError
from msnas.files import written

FORMAT = 1


class Stateful(Protocol):
    """A model, an optimizer, a loss scaler."""

    def state_dict(self) -> dict[str, Any]:
        """All that must be kept."""

    def load_state_dict(self, state_dict: dict[str, Any], /) -> object:
        """Go on from what was kept."""


def save(path: Path, state: Mapping[str, Any], *, fingerprint: Mapping[str, Any]) -> None:
    """Replace `path` by `state` (tensors, numbers, text, lists and dicts of these) and what it was made with.

    A full disk or a folder that cannot be written is a RunError; the older file then stays as it was.
    """
    content = {"format": FORMAT, "fingerprint": _plain(fingerprint), **state}

    def write(partial: Path) -> None:
        with open(partial, "wb") as handle:
            torch.save(content, handle)

    _replace(path, write)


def load(path: Path, *, fingerprint: Mapping[str, Any]) -> dict[str, Any] | None:
    """The state that `save` wrote, tensors on the CPU; None where there is no file yet.

    Raises RunError where the file is no checkpoint of this format, or was made with another `fingerprint`:
    the message names the first value that differs.
    """
    if not path.exists():
        return None
    try:
        if not zipfile.is_zipfile(path):
            raise RunError(f"{_name(path)} is damaged or no checkpoint; delete it to begin this stage anew.")
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        raise RunError(f"{_name(path)} cannot be read ({_line(error)}); delete it to begin anew.") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        found = state.get("format") if isinstance(state, dict) else None
        raise RunError(f"{_name(path)} must have format {FORMAT}, but got {found}; delete it to begin anew.")
    if changed := differences(_plain(state["fingerprint"]), _plain(fingerprint)):
        key, (old, new) = next(iter(changed.items()))
        more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
        came = f"was made with {key}={old}, but got {key}={new}{more}"
        raise RunError(f"{_name(path)} {came}; name a new run with run=.")
    return state


def save_parts(path: Path, step: int, parts: Mapping[str, Stateful], *, fingerprint: Mapping[str, Any]) -> None:
    """`save` for the `state_dict` of every part (model, optimizer, ...) after `step` steps."""
    states = {name: part.state_dict() for name, part in parts.items()}
    save(path, {"step": step, **states}, fingerprint=fingerprint)


def restore_parts(path: Path, parts: Mapping[str, Stateful], *, fingerprint: Mapping[str, Any]) -> int:
    """Bring every part to where `save_parts` left it; returns the steps done, 0 where there is no file."""
    state = load(path, fingerprint=fingerprint)
    if state is None:
        return 0
    for name, part in parts.items():
        try:
            if state[name]:  # a loss scaler that was off has nothing to say
                part.load_state_dict(state[name])
        except (RuntimeError, ValueError) as error:  # names or shapes differ
            raise RunError(f"{_name(path)} holds another {name}: {_line(error)}; name a new run.") from error
    return int(state["step"])


def save_weights(path: Path, model: nn.Module) -> None:
    """All parameters and buffers of `model` as safetensors; errors as `save`."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    _replace(path, lambda partial: save_file(tensors, partial))


def load_weights(path: Path, model: nn.Module) -> None:
    """Give `model` (on the CPU) the tensors of `path`, memory-mapped: processes of a machine share the pages.

    They are mapped copy-on-write, so whoever changes them leaves the file as it is. Raises RunError where the
    file is missing or damaged, or belongs to another network.
    """
    try:
        model.load_state_dict(load_file(path), strict=True, assign=True)
    except FileNotFoundError:
        raise RunError(f"{_name(path)} is missing; finish the stage that writes it first.") from None
    except (OSError, SafetensorError) as error:
        raise RunError(f"{_name(path)} cannot be read ({_line(error)}); make it again.") from error
    except RuntimeError as error:  # names or shapes differ
        raise RunError(f"{_name(path)} holds the weights of another network: {_line(error)}.") from error


def _replace(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` make the file under another name; whole and on the disk, it becomes `path`."""
    try:
        with written(path) as partial:
            write(partial)
    except (OSError, RuntimeError, SafetensorError) as error:
        kept = "; the one before it is untouched" if path.exists() else ""
        fault = f"{_name(path)} cannot be written ({_line(error)}){kept}"
        raise RunError(f"{fault}. Free space or move the run.") from error


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON would give it back: tuples and lists are equal, only plain types remain."""
    return dict(json.loads(json.dumps(value)))


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _line(error: Exception) -> str:
    """The telling part of an error: what the disk said where torch hides that, else the last line."""
    cause = error.__context__ if isinstance(error.__context__, OSError) else error
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return str(cause).strip().rpartition("\n")[2].strip().rstrip(".") or type(cause).__name__
