"""A detector as an ONNX graph: what of torch's modules is traced, in which precision, and how it is written."""

import io
import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import boxes as box_ops
from torchvision.ops import nms

from msnas.errors import ModelError

OPSET = 19  # the first with deformable convolutions
_LAYERS = (nn.Conv2d, nn.Linear, nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)  # what runs in half precision
Found = tuple[Tensor, Tensor, Tensor]


class OneImage(nn.Module):
    """The detector on one image that is sized and padded already; boxes, scores, labels, without masks."""

    def __init__(self, detector: Any) -> None:
        super().__init__()
        detector.transform.resize = lambda image, target=None: (image, target)
        if hasattr(detector, "roi_heads"):
            detector.roi_heads.mask_roi_pool = None
        self.detector = detector

    def forward(self, image: Tensor) -> Found:
        """image: [3, H, W] float in 0..1. Returns [n, 4] xyxy pixels, [n], [n] int64."""
        [found] = self.detector([image])
        return found["boxes"], found["scores"], found["labels"]


class ManyImages(nn.Module):
    """The detector on a batch; each image's list is filled up with zeros to as many as an image can have."""

    def __init__(self, single: OneImage) -> None:
        super().__init__()
        self.detector = single.detector

    def forward(self, images: Tensor) -> Found:
        """images: [B, 3, H, W]. Returns [B, D, 4], [B, D], [B, D]; scores and labels are 0 where nothing is found."""
        found = self.detector(list(images.unbind()))
        filled = [[self._filled(one[name]) for one in found] for name in ("boxes", "scores", "labels")]
        boxes, scores, labels = map(torch.stack, filled)
        return boxes, scores, labels

    def _filled(self, values: Tensor) -> Tensor:
        length = self.detector.config["detections"]
        return torch.cat([values, values.new_zeros(length, *values.shape[1:])])[:length]


def halve(module: nn.Module) -> None:
    """Let convolutions, full layers and norms of `module` compute in half precision, in place.

    Detectors keep coordinates and scores in float32 whatever the layers answer, as under autocast.
    """
    for layer in module.modules():
        if isinstance(layer, _LAYERS):
            layer.half()
            layer.register_forward_pre_hook(lambda _, inputs: tuple(x.half() for x in inputs))


def write_graph(graph: nn.Module, shape: tuple[int, ...], path: Path, metadata: dict[str, Any]) -> None:
    """Write what `graph` does to an input of `shape`, [3, H, W] or [B, 3, H, W]; metadata: by name, stored as JSON.

    Raises ModelError where torch cannot make a graph of the detector.
    """
    spoken = io.StringIO()  # the exporter's own words: pages of its graph where it fails
    with warnings.catch_warnings(), redirect_stdout(spoken), redirect_stderr(spoken), _one_nms(max(shape[-2:])):
        warnings.simplefilter("ignore")
        try:
            program = torch.onnx.export(
                graph,
                (torch.full(shape, 0.5),),
                input_names=[input_name(shape)],
                output_names=["boxes", "scores", "labels"],
                opset_version=OPSET,
                custom_translation_table={torch.ops.torchvision.deform_conv2d.default: _deformable()},
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            reason = " ".join(str(error.__cause__ or error).split())[:200]
            raise ModelError(f"torch cannot write this detector as ONNX: {reason}") from error
    assert program is not None
    program.model.metadata_props.update({name: json.dumps(value) for name, value in metadata.items()})
    program.save(path, external_data=False)


def input_name(shape: tuple[int, ...]) -> str:
    """What the input is called: `image`, or `images` of a batch."""
    return "image" if len(shape) == 3 else "images"


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
