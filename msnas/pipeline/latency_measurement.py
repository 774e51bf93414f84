"""How long every part of a space's networks takes on this device, and how well their sum predicts.

What is timed is what the budget counts: encoder, output convolutions and the heads that propose regions, on one image.
Parts are timed in turn, round after round, so that a disturbance spreads over all of them; medians are kept.
"""

import statistics
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from functools import partial
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from msnas.engine.devices import HALVES, Hardware, describe
from msnas.errors import ConfigError
from msnas.families.family import Family
from msnas.runs.progress import Progress
from msnas.setup.setup import Setup
from supernet.strides.architecture import Architecture
from supernet.strides.first_stage_cost import PathStart
from supernet.strides.latency_parts import part_names, parts_of

Work = Callable[[], Any]
K = TypeVar("K", bound=Hashable)


def measured(setup: Setup) -> dict[str, Any]:
    """The table of a space's parts, measured, and how well it predicts whole networks. Raises ConfigError."""
    options, hardware, size = setup.latency, setup.hardware.for_candidates(), setup.input_size
    space, start, model = setup.space, setup.family.start, _network(setup.family, hardware)
    rng = np.random.default_rng(setup.seed)
    drawn = [cast(Architecture, space.decode(space.sample(rng))) for _ in range(options.calibrate + options.check)]
    with torch.inference_mode(), hardware.autocast():
        works = {f"part {name}": work for name, work in part_works(model, start, size, hardware)}
        works |= {f"path {path}": work for path, work in path_works(model, drawn, size, hardware)}
        times = medians(works, hardware, warmup=options.warmup, repetitions=options.repetitions)
    parts = {name.removeprefix("part "): time for name, time in times.items() if name.startswith("part ")}
    whole = [times[f"path {path}"] for path in drawn]
    sums = [sum(parts[part] for part in parts_of(path, setup.fit.base_stride, start)[:-1]) for path in drawn]
    return {**described(hardware), **fitted(parts, drawn, sums, whole, options.calibrate)}


def _network(family: Family, hardware: Hardware) -> nn.Module:
    """The supernet, freshly made: how long it takes does not depend on its weights."""
    model = family.timed_detector(["object"])
    if not hasattr(model, "rpn"):
        raise ConfigError("Latency is measured for two-stage detectors (faster_rcnn, mask_rcnn), but got another.")
    return hardware.place(model).eval()


def part_works(
    model: Any, start: PathStart | None, size: tuple[int, int], hardware: Hardware
) -> Iterator[tuple[str, Work]]:
    """Each part's name, and what runs it once. start: of the paths; None: a stem."""
    encoder = model.encoder
    width = next(iter(encoder.laterals.values())).in_channels  # between blocks

    def read(channels: int, stride: int) -> Tensor:
        return _map(channels, stride, size, hardware)

    for name in part_names(encoder.base_stride, start)[:-1]:
        kind, *numbers = name.split()
        if kind == "stem":
            yield name, partial(encoder.stem, _images(size, hardware))
        elif kind == "prefix":
            yield name, partial(_prefix, encoder, _images(size, hardware))
        elif kind == "first":
            block = encoder.blocks[0].branch(float(numbers[0]))
            channels, stride = (start.channels, start.stride) if start else _stem(encoder)
            yield name, partial(block, read(channels, stride))
        elif kind == "lateral" and numbers[0].startswith("s"):
            assert start is not None
            stride = int(numbers[0][1:])
            stage = read(dict(start.ended)[stride], stride)
            yield name, partial(_prefix_lateral, encoder, stride, read(width, stride), stage)
        elif kind == "block":
            yield name, partial(encoder.blocks[1].branch(float(numbers[1])), read(width, int(numbers[0])))
        elif kind == "lateral":
            yield name, partial(_lateral, encoder.laterals["0"], read(width, int(numbers[0])))
        elif kind == "output":
            yield name, partial(encoder.outputs[numbers[0]], read(width, int(numbers[0])))
        else:
            yield name, partial(model.rpn.head.heads[0], [read(encoder.out_channels, int(numbers[0])).float()])


def path_works(
    model: Any, paths: list[Architecture], size: tuple[int, int], hardware: Hardware
) -> Iterator[tuple[Architecture, Work]]:
    """Each path, and what runs its whole first stage once."""
    images = _images(size, hardware)
    for path in paths:
        yield path, partial(_first_stage, model, images, path)


def _stem(encoder: Any) -> tuple[int, int]:
    """Channels and stride of what a stem gives."""
    return encoder.stem.out_channels, encoder.base_stride


def _prefix(encoder: Any, images: Tensor) -> Tensor:
    """What the first block reads; the features of the stages before come with it."""
    features = encoder.prefix(images)
    read: Tensor = features[encoder.feature_strides[-1]]
    return read


def _prefix_lateral(encoder: Any, stride: int, x: Tensor, stage: Tensor) -> Tensor:
    added: Tensor = x + encoder.laterals[f"s{stride}"](stage)
    return added


def _lateral(convolution: Any, x: Tensor) -> Tensor:
    added: Tensor = x + convolution(x)
    return added


def _first_stage(model: Any, images: Tensor, path: Architecture) -> Any:
    return model.rpn.head(list(model.encode(images, path).values()))


def _images(size: tuple[int, int], hardware: Hardware) -> Tensor:
    return _laid_out(torch.randn(1, 3, *size), hardware)


def _map(channels: int, stride: int, size: tuple[int, int], hardware: Hardware) -> Tensor:
    x = _laid_out(torch.randn(1, channels, size[0] // stride, size[1] // stride), hardware)
    return x if hardware.precision == "fp32" else x.to(HALVES[hardware.precision])


def _laid_out(x: Tensor, hardware: Hardware) -> Tensor:
    x = x.to(hardware.device)
    return x.contiguous(memory_format=torch.channels_last) if hardware.channels_last else x


def medians(works: dict[str, Work], hardware: Hardware, *, warmup: int, repetitions: int) -> dict[str, float]:
    """Microseconds by name: the median of `repetitions` rounds over all works, after `warmup` rounds."""
    times = rounds(works, hardware, warmup=warmup, repetitions=repetitions)
    return {name: statistics.median(values) for name, values in times.items()}


def rounds(works: Mapping[K, Work], hardware: Hardware, *, warmup: int, repetitions: int) -> dict[K, list[float]]:
    """Microseconds of every round by name, over all works in turn, after `warmup` rounds."""
    if min(warmup, repetitions) < 1:
        raise ConfigError(f"latency.warmup and latency.repetitions are at least 1, but got {warmup}, {repetitions}.")
    times: dict[K, list[float]] = {name: [] for name in works}
    with Progress("latency", warmup + repetitions) as progress:
        for number in range(warmup + repetitions):
            for name, work in works.items():
                seconds = timed(work, hardware)
                if number >= warmup:
                    times[name].append(1e6 * seconds)
            progress.update(number + 1, "")
    return times


def timed(work: Work, hardware: Hardware) -> float:
    """Seconds of the second of two runs in a row: in a network too, what a part reads was written just before."""
    alone = hardware.device.type == "cpu" and hardware.threads == 1
    clock = time.thread_time if alone else time.perf_counter  # a thread's own time leaves out what others take
    work()
    synchronise(hardware)
    began = clock()
    work()
    synchronise(hardware)
    return clock() - began


def synchronise(hardware: Hardware) -> None:
    """Wait until the device has done what it was given."""
    if hardware.device.type == "cuda":
        torch.cuda.synchronize(hardware.device)


def fitted(
    parts: dict[str, float], paths: list[Architecture], sums: list[float], whole: list[float], calibrate: int
) -> dict[str, Any]:
    """The table: parts, the rest from the first `calibrate` paths, and the error on all later ones.

    sums, whole: of each path, microseconds of its parts and of all of it.
    """
    rest = statistics.median(w - s for w, s in zip(whole[:calibrate], sums, strict=False)) if calibrate else 0.0
    checked = list(zip(paths, sums, whole, strict=True))[calibrate:]
    errors = [abs(s + rest - w) / w for _, s, w in checked]
    return {
        "parts": {**parts, "rest": rest},
        "checked": [{"architecture": str(path), "predicted_us": s + rest, "measured_us": w} for path, s, w in checked],
        "median_error": statistics.median(errors) if errors else None,
        "largest_error": max(errors, default=None),
    }


def described(hardware: Hardware) -> dict[str, Any]:
    """The device by name, and how it computes."""
    machine = describe(hardware)
    kept = {name: machine[name] for name in ("precision", "threads", "channels_last", "commit")}
    return {"device": machine["gpu"] or machine["cpu"], **kept, "torch": machine["packages"]["torch"]}
