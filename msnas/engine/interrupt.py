"""Stopping politely: Ctrl-C and SIGTERM let a loop finish its step and save before the program ends."""

import signal
import threading
import time
from types import FrameType
from typing import Any, Self


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM came; the step was finished and everything is saved. The same command goes on."""

    def __init__(self, stage: str, step: int, steps: int) -> None:
        super().__init__(f"{stage} stopped after {step} of {steps} steps, all of them saved.")
        self.stage, self.step, self.steps = stage, step, steps


class StopSignal:
    """Inside `with StopSignal() as stop`, the first signal sets `stop.requested`; an impatient Ctrl-C ends at once.

    Impatient is one that comes `PATIENCE` seconds or more after the first signal: on one Ctrl-C, a process under
    torchrun gets a signal from the terminal and another from torchrun. Off where `enabled` is false and outside of
    the main thread, which alone may have signal handlers.
    """

    PATIENCE = 2.0

    def __init__(self, *, enabled: bool = True) -> None:
        self.requested = False
        self._first = 0.0
        self._enabled = enabled and threading.current_thread() is threading.main_thread()
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if self._enabled:
            self._before = {s: signal.signal(s, self._note) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not self.requested:
            self.requested, self._first = True, now
        elif number == signal.SIGINT and now - self._first >= self.PATIENCE:
            raise KeyboardInterrupt
