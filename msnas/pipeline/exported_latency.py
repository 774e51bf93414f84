"""How long a whole exported detector takes, box head and NMS included: in onnxruntime, and in torch beside it.

On real images: how many regions are left after NMS, and so what the box head has to do, depends on what is seen.
"""

import importlib.metadata
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from msnas.data.settings import DataSettings
from msnas.data.source import read_source
from msnas.engine.devices import Hardware
from msnas.errors import ModelError
from msnas.export.model_file import load
from msnas.export.onnx_export import require_extra
from msnas.export.onnx_graph import ManyImages, OneImage
from msnas.export.onnx_inputs import Input
from msnas.export.onnx_session import OnnxSession
from msnas.pipeline.latency_measurement import Work, described, rounds
from msnas.setup.setup import Setup

IMAGES = 4  # that are timed, evenly spaced in the split
Timed = tuple[str, str, int]  # file, engine, number of the input


def time_exported(folder: Path, setup: Setup) -> dict[str, Any]:
    """Milliseconds of every ONNX file of a model's folder and of torch at the same input: median and quartiles.

    The images are those of the reported split, or of training where it has no file. onnxruntime runs on the CPU with
    the threads of `hardware`; torch on its device. Raises ModelError where there is no ONNX file.
    """
    require_extra()
    paths = sorted(folder.glob("*.onnx"))
    if not paths:
        raise ModelError(
            f"What is timed is the exported detector, but {folder} has no ONNX file; msnas export onnx=true writes one."
        )
    hardware, options = setup.hardware.for_candidates(), setup.latency
    works: dict[Timed, Work] = {}
    batches: dict[str, int] = {}
    for path in paths:
        session = OnnxSession(path, threads=torch.get_num_threads())
        batches[path.name] = session.batch
        images = _images(session, setup.data)
        works |= {(path.name, "onnxruntime", i): work for i, work in enumerate(onnx_works(session, images))}
        if session.precision == "fp32":
            in_torch = _torch_works(load(folder), session, images, hardware)
            works |= {(path.name, "torch", i): work for i, work in enumerate(in_torch)}
    times = rounds(works, hardware, warmup=options.warmup, repetitions=options.repetitions)
    rows = [
        {"file": file, "engine": engine, "batch": batches[file], **spread(times, (file, engine))}
        for file, engine in dict.fromkeys((file, engine) for file, engine, _ in works)
    ]
    return {**described(hardware), "onnxruntime": importlib.metadata.version("onnxruntime"), "timed": rows}


def onnx_works(session: OnnxSession, images: Sequence[Tensor]) -> list[Work]:
    """What runs a graph once, for each of its inputs."""
    return [partial(session, values) for values in session.inputs(images)]


def spread(times: Mapping[Timed, Sequence[float]], which: tuple[str, str]) -> dict[str, Any]:
    """Milliseconds of a call over all rounds and images: the median and both quartiles."""
    values = [time / 1e3 for key, found in times.items() if key[:2] == which for time in found]
    low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else values * 3
    return {"median_ms": middle, "quartiles_ms": [low, high], "calls": len(values)}


def _images(session: OnnxSession, settings: DataSettings) -> list[Tensor]:
    """Images of the data as the graph takes them: one for each call, or a batch for each."""
    rule = session.metadata["preprocessing"]
    height, width = session.shape[-2:]
    wanted = Input((height, width), (rule["short_side"], rule["long_side"]), rule["pad_right_and_bottom_with"])
    source = read_source(replace(settings, masks=False))
    return wanted.canvases(source.val or source.train, IMAGES * session.batch)


def _torch_works(detector: Any, session: OnnxSession, images: Sequence[Tensor], hardware: Hardware) -> list[Work]:
    single = OneImage(hardware.place(detector)).eval()
    model = single if len(session.shape) == 3 else ManyImages(single).eval()
    inputs = [torch.from_numpy(values).to(hardware.device) for values in session.inputs(images)]
    return [partial(in_torch, model, values, hardware) for values in inputs]


def in_torch(model: nn.Module, values: Tensor, hardware: Hardware) -> Any:
    """One call of `OneImage` or `ManyImages`."""
    with torch.inference_mode(), hardware.autocast():
        return model(values)
