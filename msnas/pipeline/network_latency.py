"""How long whole networks take that nobody has trained: of published names and of architectures, on this device.

Weights change no latency; but nothing is found with fresh ones, so that NMS has nothing to do. A trained and exported
detector is timed with it on real images (`exported_latency`).
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from statistics import quantiles
from typing import Any

import torch
from torch import nn

from msnas.engine.devices import Hardware
from msnas.export.onnx_graph import OneImage
from msnas.families.initial_weights import fpn_baseline, network
from msnas.pipeline.latency_measurement import Work, described, rounds
from msnas.pipeline.retraining import named
from msnas.setup.setup import Setup

CLASSES = [f"class {number}" for number in range(1, 81)]  # as many as COCO has
FPN = "FPN baseline"


def time_networks(setup: Setup) -> dict[str, Any]:
    """Milliseconds of `retrain.architectures` and of the FPN baseline on one image of the size that costs count.

    Each with its MACs there; the median of `latency.repetitions` rounds over all of them, and the quartiles. Raises
    ConfigError for names that are not known.
    """
    hardware, options = setup.hardware.for_candidates(), setup.latency
    networks = dict(_networks(setup))
    works = {name: _work(made, setup.input_size, hardware) for name, (made, _) in networks.items()}
    with torch.inference_mode(), hardware.autocast():
        times = rounds(works, hardware, warmup=options.warmup, repetitions=options.repetitions)
    rows = [{"name": name, "macs": networks[name][1], **_spread(found)} for name, found in times.items()]
    return {**described(hardware), "input": "x".join(map(str, setup.input_size)), "timed": rows}


def _networks(setup: Setup) -> Iterator[tuple[str, tuple[nn.Module, int]]]:
    """Each network by its name, and its MACs."""
    family = setup.family
    for choice in named(setup):
        made = network(family, choice.architecture, CLASSES, seed=setup.seed)
        yield choice.name, (made, family.cost(choice.architecture).macs)
    yield FPN, (fpn_baseline(family, CLASSES, seed=setup.seed), family.baseline_cost.macs)


def _work(detector: Any, size: tuple[int, int], hardware: Hardware) -> Work:
    whole = OneImage(hardware.place(detector)).eval()
    return partial(whole, torch.rand(3, *size, device=hardware.device))


def _spread(times: Sequence[float]) -> Mapping[str, Any]:
    """Of microseconds: the median and both quartiles, milliseconds."""
    low, middle, high = quantiles(times, n=4) if len(times) > 1 else [times[0]] * 3
    return {"median_ms": middle / 1e3, "quartiles_ms": [low / 1e3, high / 1e3]}
