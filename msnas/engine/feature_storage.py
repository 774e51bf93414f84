"""Float16 tensors that are computed once: in memory where they fit, else files that every process maps.

A folder counts from the moment its `done.json` is there and says what was asked for, so half-written ones never do.
"""

import fcntl
import json
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.filesize import decimal
from torch import Tensor

from msnas.errors import DataError
from msnas.files import read_json, write_json
from msnas.runs.folder import DONE

STORED = torch.float16  # half the memory; features of a trained network lie well inside its range
ON_GPU = 0.5  # of a GPU's free memory, for features; the rest is for what is trained on them
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stored:
    """One flat float16 tensor for each level. Pickled, mapped ones travel as their folder, others as their numbers."""

    levels: tuple[Tensor, ...]
    folder: Path | None = None

    @property
    def memory(self) -> int:
        """Bytes of all levels, in memory or mapped."""
        return sum(level.numel() * level.element_size() for level in self.levels)

    def __reduce__(self) -> tuple[Any, ...]:
        if self.folder is None:
            return Stored, (self.levels,)
        return _mapped, (self.folder, tuple(level.numel() for level in self.levels))


def bytes_of(lengths: Sequence[int]) -> int:
    """What levels of so many numbers take."""
    return sum(lengths) * STORED.itemsize


def store(
    lengths: Sequence[int],
    fill: Callable[[Sequence[Tensor]], None],
    *,
    folder: Path | None = None,
    memory_limit: float = 2e9,
    fingerprint: Mapping[str, Any] | None = None,
) -> Stored:
    """Levels of these lengths, computed by `fill` in place.

    More than `memory_limit` bytes lie in `folder`; one that is complete and of the same `fingerprint` is used as it is.
    Raises DataError where they fit neither into memory nor on the disk.
    """
    needed = bytes_of(lengths)
    if needed <= memory_limit:
        _say(needed, "memory")
        stored = Stored(tuple(torch.empty(length, dtype=STORED) for length in lengths))
        fill(stored.levels)
        return stored
    if folder is None:
        raise DataError(
            f"Cached features must fit into {decimal(int(memory_limit))} of memory, but need {decimal(needed)}; "
            f"raise the memory limit, or lower the number of views or data.short_side."
        )
    known = json.loads(json.dumps({**(fingerprint or {}), "lengths": list(lengths)}))  # as it will be read back
    with _one_at_a_time(folder):  # whoever comes second waits, and finds what the first has made
        if read_json(folder / DONE) == known:
            return _mapped(folder, lengths)
        _say(needed, f"the disk, in {folder.name}")
        _make_room(folder, needed)
        stored = _mapped(folder, lengths)
        fill(stored.levels)
        write_json(folder / DONE, known)
        return stored


def near(levels: Sequence[Tensor], device: torch.device) -> tuple[Tensor, ...]:
    """The same levels on a GPU where they take no more than `ON_GPU` of what is free there; else where they are."""
    needed = sum(level.numel() * level.element_size() for level in levels)
    if device.type != "cuda" or needed > ON_GPU * free_memory(device):
        return tuple(levels)
    return tuple(level.to(device) for level in levels)


def free_memory(device: torch.device) -> int:
    """Bytes of a GPU that nobody uses."""
    free: int = torch.cuda.mem_get_info(device)[0]
    return free


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """A block that no other process is in for the same `folder`, by a lock that ends with the process."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            raise DataError(
                f"Cached features must be locked while they are made, but the file system of {folder} cannot "
                f"({error.strerror}); let MSNAS_CACHE name a folder on another."
            ) from error
        yield


def _say(needed: int, where: str) -> None:
    log.info("Cached features will take %s of %s.", decimal(needed), where)


def _make_room(folder: Path, needed: int) -> None:
    """An empty `folder` on a disk with room for `needed` bytes: a mapped file without would kill the process."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DONE).unlink(missing_ok=True)
    for outdated in folder.glob("level*.f16"):
        outdated.unlink()
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(f"Cached features need {decimal(needed)}, but the disk of {folder} has {decimal(free)} left.")


def _mapped(folder: Path, lengths: Sequence[int]) -> Stored:
    files = (str(folder / f"level{level}.f16") for level in range(len(lengths)))
    levels = (
        torch.from_file(file, shared=True, size=length, dtype=STORED)
        for file, length in zip(files, lengths, strict=True)
    )
    return Stored(tuple(levels), folder)


def halved(feature: Tensor, where: str) -> Tensor:
    """`feature` as float16 on the CPU. Raises DataError, naming `where` it comes from, for numbers beyond float16."""
    half = feature.to("cpu", STORED)
    if not torch.isfinite(half).all():
        largest = float(feature.abs().max())
        raise DataError(
            f"Cached features must lie inside float16 (up to 65504), but {where} has {largest:.3g}; "
            f"check the backbone's weights, or train without a cache."
        )
    return half
