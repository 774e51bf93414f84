"""A saved detector as one ONNX file, from an image to boxes, scores and labels; equal to torch on real images, or none.

The graph takes one image of a fixed size: [3, H, W], RGB in 0..1, resized by the model's rule and padded to the right
and below with the colour that normalises to zero. Boxes are in pixels of that input.
"""

import importlib.util
import io
import json
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import boxes as box_ops
from torchvision.ops import nms

from msnas.data.annotations import AnnotationFile, ImageRecord
from msnas.data.geometry import padded_size, resized_size
from msnas.data.images import locate, read_rgb
from msnas.data.settings import DataSettings
from msnas.data.source import read_source
from msnas.detectors.faster_rcnn import FasterRCNN
from msnas.detectors.fcos import FCOS
from msnas.detectors.retinanet import RetinaNet
from msnas.errors import ConfigError, DataError, ModelError
from msnas.export.onnx_check import Agreement, compare, in_onnxruntime, in_torch
from msnas.files import written

FILE = "model.onnx"
DETECTORS = (FasterRCNN, RetinaNet, FCOS)
OPSET = 19  # the first with deformable convolutions
CHECKED = 8  # images that both are compared on
_EXTRA = ("onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True)
class Exported:
    """What was written: the input's (height, width), and how well it was checked."""

    path: Path
    size: tuple[int, int]
    checked: Agreement


def require_extra() -> None:
    """Raises ConfigError where what the export needs is not installed."""
    missing = [name for name in _EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(f"onnx=true needs {', '.join(missing)}, of the extra `export`: pip install 'msnas[export]'.")


def export_onnx(detector: Any, settings: DataSettings, path: Path) -> Exported:
    """Write `detector` (loaded, on the CPU) to `path`, checked on images of the data.

    The split is the reported one, the training images where it has no file of its own; the input's size is what most
    of its images are padded to. Raises ModelError where the graph cannot be made or finds other things than torch,
    DataError where there is no image to compare them on; then `path` is not written.
    """
    require_extra()
    if not isinstance(detector, DETECTORS):
        known = ", ".join(kind.__name__ for kind in DETECTORS)
        raise ModelError(f"ONNX is written for {known}, but this model is a {type(detector).__name__}.")
    source = read_source(settings)
    part = source.val or source.train
    rule = detector.config["short_side"], detector.config["long_side"]
    size = _common_size(part.images, *rule, detector.encoder.divisor)
    colour = detector.transform.image_mean
    images = [_canvas(part, image, rule, size, colour) for image in _chosen(part.images, rule, size)]
    single = _Single(detector).eval()
    with written(path) as partial:
        _write(single, size, partial)
        expected = [in_torch(single, image) for image in images]
        checked = compare(detector, expected, list(in_onnxruntime(partial, images)))
    return Exported(path, size, checked)


class _Single(nn.Module):
    """The detector on one image that is sized and padded already; boxes, scores, labels, without masks."""

    def __init__(self, detector: Any) -> None:
        super().__init__()
        detector.transform.resize = lambda image, target=None: (image, target)
        if hasattr(detector, "roi_heads"):
            detector.roi_heads.mask_roi_pool = None
        self.detector = detector

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """image: [3, H, W] float in 0..1. Returns [n, 4] xyxy pixels, [n], [n] int64."""
        [found] = self.detector([image])
        return found["boxes"], found["scores"], found["labels"]


def _common_size(images: Any, short_side: int, long_side: int, divisor: int) -> tuple[int, int]:
    """(height, width) that most of the images are padded to, portrait and landscape apart."""
    if not images:
        raise DataError("The ONNX file must be compared with torch on real images, but the split holds none.")
    sizes = (resized_size(image.height, image.width, short_side, long_side) for image in images)
    [(size, _)] = Counter(padded_size(*size, divisor) for size in sizes).most_common(1)
    return size


def _chosen(images: Any, rule: tuple[int, int], size: tuple[int, int]) -> list[ImageRecord]:
    """Evenly spaced images that fit into the input."""
    sizes = [resized_size(image.height, image.width, *rule) for image in images]
    fitting = [
        image for image, (height, width) in zip(images, sizes, strict=True) if height <= size[0] and width <= size[1]
    ]
    return fitting[:: -(-len(fitting) // CHECKED)]


def _canvas(
    part: AnnotationFile, image: ImageRecord, rule: tuple[int, int], size: tuple[int, int], colour: Sequence[float]
) -> Tensor:
    """The image [3, H, W] as the graph takes it, padded with `colour`."""
    height, width = resized_size(image.height, image.width, *rule)
    file = locate(part.files.images, image.file_name, links=part.files.reading.links)
    pixels = read_rgb(file, image.width, image.height, (height, width), part.files.reading)
    canvas = torch.tensor(colour)[:, None, None].repeat(1, *size)
    canvas[:, :height, :width] = torch.from_numpy(pixels.copy()).permute(2, 0, 1) / 255
    return canvas


def _write(single: nn.Module, size: tuple[int, int], path: Path) -> None:
    """Raises ModelError where torch cannot make a graph of the detector."""
    example = torch.full((3, *size), 0.5)
    spoken = io.StringIO()  # the exporter's own words: pages of its graph where it fails
    with warnings.catch_warnings(), redirect_stdout(spoken), redirect_stderr(spoken), _one_nms(max(size)):
        warnings.simplefilter("ignore")
        try:
            program = torch.onnx.export(
                single,
                (example,),
                input_names=["image"],
                output_names=["boxes", "scores", "labels"],
                opset_version=OPSET,
                custom_translation_table={torch.ops.torchvision.deform_conv2d.default: _deformable()},
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            reason = " ".join(str(error.__cause__ or error).split())[:200]
            raise ModelError(f"torch cannot write this detector as ONNX: {reason}") from error
    assert program is not None
    program.model.metadata_props.update(_description(single, size))
    program.save(path, external_data=False)


def _deformable() -> Callable[..., Any]:
    """torchvision's deformable convolution as ONNX's, which torch's exporter does not know."""
    from onnxscript import opset19  # an extra

    def deform_conv2d(
        x: Any, weight: Any, offset: Any, mask: Any, bias: Any, *geometry: int, use_mask: bool = True
    ) -> Any:
        down, across, rows, columns, dilation_y, dilation_x, groups, offset_groups = geometry[:8]
        return opset19.DeformConv(
            x,
            weight,
            offset,
            bias,
            mask,
            strides=[down, across],
            pads=[rows, columns, rows, columns],
            dilations=[dilation_y, dilation_x],
            group=groups,
            offset_group=offset_groups,
        )

    return deform_conv2d


@contextmanager
def _one_nms(largest: int) -> Iterator[None]:
    """torchvision's `batched_nms` without its branch on the number of boxes, which a graph cannot have."""

    def batched_nms(boxes: Tensor, scores: Tensor, idxs: Tensor, iou_threshold: float) -> Tensor:
        apart = boxes + (idxs.to(boxes) * (largest + 1))[:, None]  # boxes are clipped to the image
        kept: Tensor = nms(apart, scores, iou_threshold)
        return kept

    original = box_ops.batched_nms
    box_ops.batched_nms = batched_nms
    try:
        yield
    finally:
        box_ops.batched_nms = original


def _description(single: Any, size: tuple[int, int]) -> dict[str, str]:
    """What a program that has only the ONNX file must know, as its metadata."""
    detector = single.detector
    rule = {
        "channels": "RGB in 0..1",
        "short_side": detector.config["short_side"],
        "long_side": detector.config["long_side"],
        "resize": "bilinear, antialiased; short side to short_side unless long side would exceed long_side",
        "height": size[0],
        "width": size[1],
        "pad_right_and_bottom_with": detector.transform.image_mean,
    }
    meta = {"classes": list(detector.meta["classes"]), "category_ids": list(detector.meta["category_ids"])}
    return {"preprocessing": json.dumps(rule), **{name: json.dumps(values) for name, values in meta.items()}}
