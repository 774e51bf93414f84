"""How long the trained networks of a front and their FPNs take on this device for an image, each measured whole."""

import statistics
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from msnas.data.source import read_source
from msnas.engine.devices import Hardware
from msnas.export.model_file import load
from msnas.export.onnx_graph import OneImage
from msnas.export.onnx_inputs import input_of
from msnas.files import write_json
from msnas.pipeline.exported_latency import IMAGES, in_torch
from msnas.pipeline.latency_measurement import Work, described, rounds
from msnas.pipeline.standalone_training import Entry
from msnas.runs.folder import LATENCIES
from msnas.setup.setup import Setup

Timed = tuple[str, int]  # architecture, number of the image


def measure(setup: Setup, entries: Sequence[Entry], folder: Path) -> None:
    """Leave the milliseconds of each network in `folder`, box head and NMS included, by name, and of which device.

    They are the median over some images of the reported split, since what a box head has to do depends on what the
    trained network sees; an architecture is timed once, with the weights of its first training.
    """
    options, hardware = setup.latency, setup.hardware.for_candidates()
    first = {entry.architecture: entry for entry in reversed(entries)}
    works = {key: work for entry in first.values() for key, work in _works(setup, entry, folder, hardware)}
    times = rounds(works, hardware, warmup=options.warmup, repetitions=options.repetitions)
    whole = {
        text: statistics.median(t for key, found in times.items() if key[0] == text for t in found) for text in first
    }
    milliseconds = {entry.name: whole[entry.architecture] / 1000 for entry in entries}
    write_json(folder / LATENCIES, {**described(hardware), "images": IMAGES, "whole_ms": milliseconds})


def _works(setup: Setup, entry: Entry, folder: Path, hardware: Hardware) -> Iterator[tuple[Timed, Work]]:
    """What runs a trained network once, for each image."""
    detector = load(folder / entry.folder)
    part = read_source(setup.data).val or read_source(setup.data).train
    images = input_of(detector, part, "common").canvases(part, IMAGES)
    model = OneImage(hardware.place(detector)).eval()
    for number, image in enumerate(images):
        yield (entry.architecture, number), partial(in_torch, model, image.to(hardware.device), hardware)
