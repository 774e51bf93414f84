"""A saved detector as one ONNX file, from images to boxes, scores and labels; equal to torch on real images, or none.

The graph takes images of a fixed size: RGB in 0..1, resized by the model's rule and padded to the right and below with
the colour that normalises to zero; one, [3, H, W], or a batch. Boxes are in pixels of that input.
"""

import copy
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from msnas.data.settings import DataSettings
from msnas.data.source import read_source
from msnas.detectors.faster_rcnn import FasterRCNN
from msnas.detectors.fcos import FCOS
from msnas.detectors.retinanet import RetinaNet
from msnas.errors import ConfigError, ModelError
from msnas.export.onnx_check import TOLERANCES, Agreement, compare, in_torch
from msnas.export.onnx_graph import ManyImages, OneImage, halve, write_graph
from msnas.export.onnx_inputs import Input, Size, input_of
from msnas.export.onnx_session import OnnxSession
from msnas.files import written

FILE = "model.onnx"
DETECTORS = (FasterRCNN, RetinaNet, FCOS)
_EXTRA = ("onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True)
class Exported:
    """What was written: the input's (height, width) and images, and how well it was checked."""

    path: Path
    size: Size
    checked: Agreement
    batch: int = 1


def require_extra() -> None:
    """Raises ConfigError where what the export needs is not installed."""
    missing = [name for name in _EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(f"onnx=true needs {', '.join(missing)}, of the extra `export`: pip install 'msnas[export]'.")


def export_onnx(
    detector: Any,
    settings: DataSettings,
    path: Path,
    *,
    size: str = "common",
    batch: int = 1,
    precision: str = "fp32",
) -> Exported:
    """Write `detector` (loaded, on the CPU) to `path`, checked on images of the data. The words: as of `OnnxOptions`.

    The split is the reported one, the training images where it has no file of its own. Raises ModelError where the
    graph cannot be made or finds other things than torch does in float32, one image at a time; DataError where there is
    no image to compare them on. Then `path` is not written.
    """
    require_extra()
    if not isinstance(detector, DETECTORS):
        known = ", ".join(kind.__name__ for kind in DETECTORS)
        raise ModelError(f"ONNX is written for {known}, but this model is a {type(detector).__name__}.")
    source = read_source(settings)
    part = source.val or source.train
    wanted = input_of(detector, part, size)
    images = wanted.canvases(part)
    single = OneImage(copy.deepcopy(detector)).eval()
    expected = [in_torch(single, image) for image in images]
    if precision == "fp16":
        halve(single)
    graph = single if batch == 1 else ManyImages(single).eval()
    shape = (3, *wanted.size) if batch == 1 else (batch, 3, *wanted.size)
    with written(path) as partial:
        write_graph(graph, shape, partial, _description(detector, wanted, batch, precision))
        answers = OnnxSession(partial, threads=torch.get_num_threads()).detections(images)
        checked = compare(detector, expected, answers, TOLERANCES[precision])
    return Exported(path, wanted.size, checked, batch)


def _description(detector: Any, wanted: Input, batch: int, precision: str) -> dict[str, Any]:
    """What a program that has only the ONNX file must know, as its metadata."""
    height, width = wanted.size
    short_side, long_side = wanted.sides
    rule = {
        "channels": "RGB in 0..1",
        "short_side": short_side,
        "long_side": long_side,
        "resize": "bilinear, antialiased; short side to short_side unless long side would exceed long_side",
        "height": height,
        "width": width,
        "batch": batch,
        "pad_right_and_bottom_with": list(wanted.colour),
    }
    meta = {"classes": list(detector.meta["classes"]), "category_ids": list(detector.meta["category_ids"])}
    return {"preprocessing": rule, "precision": precision, **meta}
