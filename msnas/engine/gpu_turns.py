"""Workers that share a GPU: side by side as a rule, one alone where memory does not last for all of them."""

import fcntl
import logging
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

import torch

log = logging.getLogger(__name__)

# cuBLAS, cuDNN and the driver allocate beside torch; what they say is a RuntimeError
_FULL = re.compile(r"CUDA error: out of memory|STATUS_(\w+_)?ALLOC(ATION)?_FAILED")


@contextmanager
def turn(device: torch.device, *, alone: bool = False, folder: Path | None = None) -> Iterator[None]:
    """Work on `device`, beside other workers of this machine, or `alone`: after theirs is done and before their next.

    Held by locks on two files of `folder` (None: that of temporary files), which end with the process. On a CPU there
    is nothing to wait for; nor where the files cannot be locked, which is said once.
    """
    with ExitStack() as held:
        if device.type == "cuda":
            place = (folder or Path(tempfile.gettempdir())) / f"msnas-{os.getuid()}-{_identity(device)}"
            try:
                lock = held.enter_context(open(f"{place}.lock", "a"))
                with open(f"{place}.gate", "a") as gate:
                    fcntl.flock(gate, fcntl.LOCK_EX)  # whoever waits to be alone keeps newcomers here
                    fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            except OSError as error:
                _say_no_turns(str(error))
        yield


@cache
def _say_no_turns(why: str) -> None:
    log.warning("Workers that share a GPU cannot wait for one another (%s); name another folder by TMPDIR.", why)


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether a GPU's memory ran out, be it under another error's name."""
    while error is not None:
        if isinstance(error, torch.OutOfMemoryError) or (isinstance(error, RuntimeError) and _FULL.search(str(error))):
            return True
        error = error.__cause__
    return False


def _identity(device: torch.device) -> str:
    """The card's own, since `CUDA_VISIBLE_DEVICES` numbers cards anew."""
    return str(torch.cuda.get_device_properties(device).uuid)
