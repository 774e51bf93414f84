"""Image files decoded in processes of their own, which do not wait for the interpreter's lock of the one that trains.

Free of torch, which such a process does not need.
"""

from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from msnas.data.images import Reading, read_rgb
from msnas.errors import DataError
from msnas.worker_process import WorkerProcess

_block: NDArray[np.uint8] = np.empty(0, np.uint8)  # in a decoding process: what it shares with the one that asks


class Decoders:
    """Processes of one image at a time each, for as many threads; pixels come in shared memory.

    number: processes; each starts with its first image. largest: bytes of the largest resized image. A pickled copy
    starts its own.
    """

    def __init__(self, number: int, largest: int) -> None:
        self._made_of = number, largest
        self._free: SimpleQueue[_Decoder] = SimpleQueue()
        for i in range(number):
            self._free.put(_Decoder(i, largest))

    def __reduce__(self) -> tuple[Any, ...]:
        return Decoders, self._made_of

    def read(self, path: Path, width: int, height: int, target: tuple[int, int], reading: Reading) -> NDArray[np.uint8]:
        """What `read_rgb` gives, and raises, as [3, h, w]; DataError where the process was ended."""
        decoder = self._free.get()
        try:
            return decoder.read(path, width, height, target, reading)
        finally:
            self._free.put(decoder)


class _Decoder:
    """One process and the block that it writes to; only the thread that took it from the queue knows it."""

    def __init__(self, number: int, largest: int) -> None:
        self._number, self._largest = number, largest
        self._process: WorkerProcess | None = None

    def read(self, path: Path, width: int, height: int, target: tuple[int, int], reading: Reading) -> NDArray[np.uint8]:
        if self._process is None:
            shared = get_context("spawn").RawArray("B", self._largest)
            self._pixels = np.frombuffer(shared, np.uint8)
            self._process = WorkerProcess(self._number, partial(_share, shared))
        try:
            length = self._process.submit(_decode, path, width, height, target, reading).result()
        except BrokenProcessPool as error:
            self._process = None
            rule = "A process that decodes images was ended from outside, as a system does that is short of memory"
            raise DataError(f"{rule}; give fewer data.workers, or data.processes=false.") from error
        return self._pixels[:length].reshape(3, *target).copy()


def _share(block: Any) -> None:
    global _block
    _block = np.frombuffer(block, np.uint8)


def _decode(path: Path, width: int, height: int, target: tuple[int, int], reading: Reading) -> int:
    pixels = read_rgb(path, width, height, target, reading).transpose(2, 0, 1)
    _block[: pixels.size].reshape(pixels.shape)[...] = pixels
    return int(pixels.size)
