"""A saved detector as one ONNX file, from an image to boxes, scores and labels; equal to torch on real images, or none.

The graph takes one image of a fixed size: [3, H, W], RGB in 0..1, resized by the model's rule and padded to the right
and below with the colour that normalises to zero. Boxes are in pixels of that input.
"""

import importlib.util
import io
import json
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig
from torch import Tensor, nn
from torchvision.ops import boxes as box_ops
from torchvision.ops import nms

from msnas.data.annotations import AnnotationFile, ImageRecord
from msnas.data.geometry import padded_size, resized_size
from msnas.data.images import locate, read_rgb
from msnas.data.source import read_source
from msnas.detectors.faster_rcnn import FasterRCNN
from msnas.detectors.transform import IMAGE_MEAN
from msnas.errors import ConfigError, DataError, ModelError
from msnas.setting import data_settings

FILE = "model.onnx"
CHECKED = 8  # images that both are compared on
BOX_TOLERANCE, SCORE_TOLERANCE = 0.1, 1e-3  # pixels; of 1
_EXTRA = ("onnx", "onnxscript", "onnxruntime")
Found = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]  # boxes [n, 4] xyxy, scores [n], labels [n]


@dataclass(frozen=True)
class Exported:
    """What was written: the input's (height, width), and the largest deviations found on so many detections."""

    path: Path
    size: tuple[int, int]
    images: int
    detections: int
    boxes: float
    scores: float


def require_extra() -> None:
    """Raises ConfigError where what the export needs is not installed."""
    missing = [name for name in _EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(f"onnx=true needs {', '.join(missing)}, of the extra `export`: pip install 'msnas[export]'.")


def export_onnx(detector: Any, config: DictConfig, path: Path) -> Exported:
    """Write `detector` (loaded, on the CPU) to `path`, checked on images of the data of `config`.

    The split is the reported one, the training images where it has no file of its own; the input's size is what most
    of its images are padded to. Raises ModelError where the graph cannot be made or finds other things than torch,
    DataError where there is no image to compare them on; then `path` is not written.
    """
    require_extra()
    if not isinstance(detector, FasterRCNN):
        raise ModelError(f"ONNX is written for Faster R-CNN only, but this model is a {type(detector).__name__}.")
    source = read_source(data_settings(config))
    part = source.val or source.train
    rule = detector.config["short_side"], detector.config["long_side"]
    size = _common_size(part.images, *rule, detector.encoder.divisor)
    images = [_canvas(part, image, rule, size) for image in _chosen(part.images, rule, size)]
    single = _Single(detector).eval()
    partial = path.with_name(f".{path.name}.partial")
    try:
        _write(single, size, partial)
        expected = [_in_torch(single, image) for image in images]
        answers = list(_in_onnxruntime(partial, images))
        exported = _compare(detector.config, expected, answers, path, size)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return exported


class _Single(nn.Module):
    """The detector on one image that is sized and padded already; boxes, scores, labels, without masks."""

    def __init__(self, detector: Any) -> None:
        super().__init__()
        detector.transform.resize = lambda image, target=None: (image, target)
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


def _canvas(part: AnnotationFile, image: ImageRecord, rule: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """The image [3, H, W] as the graph takes it."""
    height, width = resized_size(image.height, image.width, *rule)
    file = locate(part.files.images, image.file_name)
    pixels = read_rgb(file, image.width, image.height, (height, width))
    canvas = torch.tensor(IMAGE_MEAN)[:, None, None].repeat(1, *size)
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
                single, (example,), input_names=["image"], output_names=["boxes", "scores", "labels"], verbose=False
            )
        except torch.onnx.OnnxExporterError as error:
            reason = " ".join(str(error.__cause__ or error).split())[:200]
            raise ModelError(f"torch cannot write this detector as ONNX: {reason}") from error
    assert program is not None
    program.model.metadata_props.update(_description(single, size))
    program.save(path, external_data=False)


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
        "pad_right_and_bottom_with": IMAGE_MEAN,
    }
    meta = {"classes": list(detector.meta["classes"]), "category_ids": list(detector.meta["category_ids"])}
    return {"preprocessing": json.dumps(rule), **{name: json.dumps(values) for name, values in meta.items()}}


def _in_torch(single: nn.Module, image: Tensor) -> Found:
    with torch.inference_mode():
        boxes, scores, labels = (output.numpy() for output in single(image))
    return boxes, scores, labels


def _in_onnxruntime(path: Path, images: list[Tensor]) -> Iterator[Found]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    for image in images:
        boxes, scores, labels = session.run(None, {"image": image.numpy()})
        yield boxes, scores, labels


def _compare(
    config: dict[str, Any], expected: list[Found], answers: list[Found], path: Path, size: tuple[int, int]
) -> Exported:
    """The largest deviations. Raises ModelError where a detection of one has no like in the other's."""
    boxes, scores, number = [0.0], [0.0], 0
    for ours, theirs in zip(expected, answers, strict=True):
        for one, other in ((ours, theirs), (theirs, ours)):
            sure = one[1] > _sure(one[1], config)
            box_gaps, score_gaps = _nearest(one, other)
            boxes += box_gaps[sure].tolist()
            scores += score_gaps[sure].tolist()
        number += len(ours[1])
    if number == 0:
        raise ModelError(f"{path} is not written: no object was found on {len(expected)} images to compare.")
    if max(boxes) > BOX_TOLERANCE or max(scores) > SCORE_TOLERANCE:
        raise ModelError(
            f"{path} is not written: onnxruntime finds other objects than torch on {len(expected)} images (boxes to "
            f"{max(boxes):.3g} pixels, scores to {max(scores):.3g}; allowed: {BOX_TOLERANCE}, {SCORE_TOLERANCE})."
        )
    return Exported(path, size, len(expected), number, max(boxes), max(scores))


def _sure(scores: NDArray[Any], config: dict[str, Any]) -> float:
    """Below this score a detection may be in one list only: its score is at the threshold, or the list was full."""
    full = len(scores) >= config["detections"]
    return float((scores.min() if full else config["score_threshold"]) + SCORE_TOLERANCE)


def _nearest(one: Found, other: Found) -> tuple[NDArray[Any], NDArray[Any]]:
    """For each detection of `one` the gaps in box (pixels) and score to the most similar of its class in `other`."""
    if not len(one[1]) or not len(other[1]):
        return np.full(len(one[1]), np.inf), np.full(len(one[1]), np.inf)
    box_gaps = np.abs(one[0][:, None] - other[0][None]).max(2)  # [n, m]
    score_gaps = np.abs(one[1][:, None] - other[1][None])
    worst = np.maximum(box_gaps / BOX_TOLERANCE, score_gaps / SCORE_TOLERANCE)
    worst[one[2][:, None] != other[2][None]] = np.inf
    best = worst.argmin(1)
    rows = np.arange(len(best))
    alike = np.isfinite(worst[rows, best])
    return np.where(alike, box_gaps[rows, best], np.inf), np.where(alike, score_gaps[rows, best], np.inf)
