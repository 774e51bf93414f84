"""Workers that share a GPU: side by side as a rule, one alone where memory does not last for all of them."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch


@contextmanager
def turn(device: torch.device, *, alone: bool = False, folder: Path | None = None) -> Iterator[None]:
    """Work on `device`, beside other workers of this machine, or `alone`: after theirs is done and before their next.

    Held by locks on two files of `folder` (None: that of temporary files), which end with the process. On a CPU there
    is nothing to wait for.
    """
    if device.type != "cuda":
        yield
        return
    place = (folder or Path(tempfile.gettempdir())) / f"msnas-{os.getuid()}-{_identity(device)}"
    with open(f"{place}.gate", "a") as gate, open(f"{place}.lock", "a") as lock:
        fcntl.flock(gate, fcntl.LOCK_EX)  # whoever waits to be alone keeps newcomers here
        fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(gate, fcntl.LOCK_UN)
        yield


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether a GPU's memory ran out, be it under another error's name."""
    while error is not None:
        if isinstance(error, torch.OutOfMemoryError):
            return True
        error = error.__cause__
    return False


def _identity(device: torch.device) -> str:
    """The card's own, since `CUDA_VISIBLE_DEVICES` numbers cards anew."""
    return str(torch.cuda.get_device_properties(device).uuid)
