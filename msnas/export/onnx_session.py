"""An ONNX file ready to run in onnxruntime, on the CPU."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from msnas.errors import ModelError

_OURS = ("preprocessing", "precision", "classes", "category_ids")  # of the metadata, as JSON
Detections = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]  # boxes [n, 4] xyxy, scores [n], labels [n]


class OnnxSession:
    """A graph that `write_graph` wrote. threads: of onnxruntime; 0: all cores.

    shape: of its input, [3, H, W] or [B, 3, H, W]; metadata: what was written beside the graph. Raises ModelError where
    onnxruntime cannot read the file or lacks an operator of it.
    """

    def __init__(self, path: Path, *, threads: int) -> None:
        import onnxruntime  # an extra

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        faults = onnxruntime.capi.onnxruntime_pybind11_state
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except (faults.NotImplemented, faults.InvalidProtobuf, faults.NoSuchFile, faults.InvalidGraph) as error:
            reason = " ".join(str(error).split())[:200]
            raise ModelError(f"onnxruntime {onnxruntime.__version__} cannot run this detector: {reason}") from error
        [self._input] = self._session.get_inputs()
        self.shape: tuple[int, ...] = tuple(self._input.shape)
        metadata = self._session.get_modelmeta().custom_metadata_map
        self.metadata = {name: json.loads(text) for name, text in metadata.items() if name in _OURS}

    @property
    def input_name(self) -> str:
        """`image`, or `images` of a batch."""
        return str(self._input.name)

    @property
    def batch(self) -> int:
        """Images of one call."""
        return self.shape[0] if len(self.shape) == 4 else 1

    @property
    def precision(self) -> str:
        """Of its layers, as `export.precision` says it."""
        return str(self.metadata.get("precision", "fp32"))

    def __call__(self, values: NDArray[Any]) -> list[NDArray[Any]]:
        """Boxes, scores and labels of an input of `shape`."""
        found: list[NDArray[Any]] = self._session.run(None, {self._input.name: values})
        return found

    def inputs(self, images: Sequence[Tensor]) -> list[NDArray[Any]]:
        """Images [3, H, W] as the graph takes them; the last batch is filled up with its last image."""
        if len(self.shape) == 3:
            return [image.numpy() for image in images]
        groups = [[*images[start : start + self.batch]] for start in range(0, len(images), self.batch)]
        return [torch.stack(group + group[-1:] * (self.batch - len(group))).numpy() for group in groups]

    def detections(self, images: Sequence[Tensor]) -> list[Detections]:
        """What the graph finds on each image [3, H, W]."""
        found = [detections for values in self.inputs(images) for detections in self._single(self(values))]
        return found[: len(images)]

    def _single(self, answer: Sequence[NDArray[Any]]) -> Iterator[Detections]:
        boxes, scores, labels = answer
        if len(self.shape) == 3:
            yield boxes, scores, labels
            return
        for image, kept in enumerate(labels > 0):  # what an image's list is filled up with has no class
            yield boxes[image][kept], scores[image][kept], labels[image][kept]
