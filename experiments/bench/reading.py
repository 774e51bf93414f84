"""How JPEG files of COCO's size are best read: Pillow beside torchvision's decoder, threads beside processes.

    OMP_NUM_THREADS=1 python experiments/bench/bench.py reading

Drawn photographs of 640x480, resized to 800 pixels as in training. Whether both decoders give the same bytes is said in
the row's name. Two threads decode themselves, or have it done by two processes (`data.processes`), started and warm: by
the clock, and in CPU seconds of the process that trains.
"""

import io
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from timing import Row, in_turn, ratio_row
from torchvision.io import ImageReadMode, decode_jpeg

from msnas.data.decoders import Decoders
from msnas.data.images import PLAIN, read_rgb

WIDTH, HEIGHT, TARGET = 640, 480, (800, 1066)


def rows(tiny: bool) -> list[Row]:
    """Both comparisons."""
    images, rounds = (4, 1) if tiny else (40, 5)
    with tempfile.TemporaryDirectory() as folder:
        files = drawn(Path(folder), images)
        same = all(np.array_equal(np.asarray(Image.open(f)), _decoded(f).permute(1, 2, 0).numpy()) for f in files)
        works = {"torchvision": lambda: [by_torchvision(f) for f in files], "Pillow": lambda: _read(files)}
        said = f"{images} JPEG files read and resized ({'equal' if same else 'unequal'} bytes)"
        decoders = ratio_row(said, in_turn(works, rounds), "torchvision", "Pillow")
        processes = Decoders(2, 3 * TARGET[0] * TARGET[1])
        with ThreadPoolExecutor(2) as threads:
            ways: dict[str, Callable[[Path], object]] = {
                "2 processes": lambda file: torch.from_numpy(processes.read(file, WIDTH, HEIGHT, TARGET, PLAIN)),
                "2 threads": lambda file: _tensor(read_rgb(file, WIDTH, HEIGHT, TARGET)),
            }
            works = {name: partial(_all, threads, way, files) for name, way in ways.items()}
            clocked = in_turn(works, rounds, warm=2, clock=time.perf_counter)
            spent = in_turn(works, rounds, warm=2, clock=time.process_time)
    return [
        decoders,
        ratio_row(f"{images} JPEG files to tensors", clocked, "2 processes", "2 threads", unit="s"),
        ratio_row(f"{images} JPEG files: CPU of the training's process", spent, "2 processes", "2 threads"),
    ]


def drawn(folder: Path, number: int) -> list[Path]:
    """Smooth colours with some noise: about the bytes a pixel of a photograph."""
    rng, files = np.random.default_rng(0), []
    for i in range(number):
        small = Image.fromarray(rng.integers(0, 256, (24, 32, 3), np.uint8)).resize((WIDTH, HEIGHT), Image.BICUBIC)
        pixels = np.asarray(small) + rng.normal(0, 8, (HEIGHT, WIDTH, 3))
        files.append(folder / f"{i}.jpg")
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(files[-1], quality=90)
    return files


def by_torchvision(file: Path) -> torch.Tensor:
    """torchvision's decoder, and the same resizing."""
    pixels = Image.fromarray(_decoded(file).permute(1, 2, 0).contiguous().numpy())
    return _tensor(np.asarray(pixels.resize(TARGET[::-1], Image.Resampling.BILINEAR)))


def _decoded(file: Path) -> torch.Tensor:
    data = torch.frombuffer(bytearray(io.FileIO(file).readall()), dtype=torch.uint8)
    return decode_jpeg(data, mode=ImageReadMode.RGB)


def _read(files: Sequence[Path]) -> list[torch.Tensor]:
    return [_tensor(read_rgb(file, WIDTH, HEIGHT, TARGET)) for file in files]


def _tensor(pixels: Any) -> torch.Tensor:
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())


def _all(threads: ThreadPoolExecutor, way: Callable[[Path], object], files: Sequence[Path]) -> None:
    for _ in threads.map(way, files):
        pass
