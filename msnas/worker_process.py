"""A process of its own for one task after another. Free of torch until a task needs it."""

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class WorkerProcess:
    """One process, which ends when its leash is cut: a pipe whose other end is held here.

    One executor of several processes would end them all when one of them dies. number: from 0; worker i of n takes
    GPU i modulo the number of GPUs. prepare: what the process does first.
    """

    def __init__(self, number: int, prepare: Callable[[], None] | None = None) -> None:
        context = get_context("spawn")
        self._leash, theirs = context.Pipe()
        self._executor = ProcessPoolExecutor(1, context, initializer=_obey, initargs=(theirs, number, prepare))
        self._pid = self._executor.submit(os.getpid)
        theirs.close()

    def submit(self, task: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """What `task` will return there; BrokenProcessPool where the process dies."""
        return self._executor.submit(task, *args, **kwargs)

    def ask_to_stop(self) -> None:
        """Send SIGTERM, on which a training saves and ends; nothing where the process has not started or is gone."""
        if self._pid.done() and self._pid.exception() is None:
            with suppress(ProcessLookupError):
                os.kill(self._pid.result(), signal.SIGTERM)

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        self._leash.close()
        self._executor.shutdown()


def _obey(leash: Connection, number: int, prepare: Callable[[], None] | None) -> None:
    """In the process, first of all: leave Ctrl-C to the one that started it, and end with that one."""
    os.environ["LOCAL_RANK"] = str(number)  # by which `devices.choose` finds this worker's GPU
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def wait_for_the_end() -> None:
        with suppress(EOFError, OSError):
            leash.recv_bytes()
        os._exit(1)

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    if prepare is not None:
        prepare()
