"""How long the networks of a front and their FPNs take on this device: measured whole, where latency counts at all."""

from collections.abc import Sequence
from pathlib import Path

import torch

from msnas.files import write_json
from msnas.pipeline.latency_measurement import described, first_stage_work, medians
from msnas.pipeline.standalone_training import Entry
from msnas.runs.folder import LATENCIES
from msnas.setup.setup import Setup


def measure(setup: Setup, entries: Sequence[Entry], folder: Path) -> None:
    """Leave the milliseconds of each network's first stage on one image in `folder`, by name, and of which device.

    Nothing is measured where the run has no table of latency.
    """
    if not setup.has_latency:
        return
    options, hardware = setup.latency, setup.hardware.for_candidates()
    builds = {entry.architecture: entry.build for entry in entries}  # once each: weights and starts change no latency
    with torch.inference_mode(), hardware.autocast():
        works = {
            text: first_stage_work(hardware.place(build()).eval(), setup.input_size, hardware)
            for text, build in builds.items()
        }
        times = medians(works, hardware, warmup=options.warmup, repetitions=options.repetitions)
    milliseconds = {entry.name: times[entry.architecture] / 1000 for entry in entries}
    write_json(folder / LATENCIES, {**described(hardware), "milliseconds": milliseconds})
