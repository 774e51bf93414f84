"""One writer a file. The system drops the lock with its process, so a killed writer leaves none behind."""

import fcntl
import os
import socket
from pathlib import Path

from evolution.errors import StrategyError


class WriterLock:
    """Held from construction until `release`. Raises StrategyError if it is held already or cannot be made.

    A POSIX record lock: unlike `flock`, it is not inherited by forked workers, which may outlive a killed
    parent, and it works on network file systems. It does not stop its own process: `_held` does that.
    """

    _held: set[tuple[int, Path]] = set()  # noqa: RUF012  # (process, file): a forked child holds none of these

    def __init__(self, path: Path) -> None:
        self._key = (os.getpid(), path.resolve())
        if self._key in self._held:
            raise StrategyError(f"One writer at a time may hold {path}, and this process has it open already.")
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StrategyError(f"A search needs a folder to write in, but {path}: {error.strerror}.") from None
        try:
            self._take(path)
        except BaseException:
            os.close(self._file)
            raise
        self._held.add(self._key)

    def _take(self, path: Path) -> None:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            holder = os.pread(self._file, 200, 0).decode(errors="replace").strip() or "another process"
            raise StrategyError(
                f"One search at a time may write a history, but {holder} holds {path}: let it end or stop it."
            ) from None
        except OSError as error:
            raise StrategyError(f"A search needs to lock {path}, but: {error.strerror}.") from None
        try:
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        except OSError as error:
            raise StrategyError(f"A search needs a folder to write in, but {path}: {error.strerror}.") from None

    def release(self) -> None:
        """Let the next writer in; a second call does nothing."""
        if self._key in self._held:
            self._held.remove(self._key)
            os.close(self._file)
