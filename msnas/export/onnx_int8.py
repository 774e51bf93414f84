"""An ONNX file whose convolutions and full layers compute in 8 bits, by onnxruntime's static quantiser.

The ranges of the activations are measured on training images. What 8 bits cost is told as AP before and after.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from msnas.data.dataset import DetectionDataset
from msnas.data.opening import open_split
from msnas.data.settings import DataSettings
from msnas.data.source import read_source
from msnas.engine.evaluation import evaluate_detections
from msnas.errors import DataError
from msnas.export.onnx_export import FILE, Exported, export_onnx
from msnas.export.onnx_inputs import Input, input_of
from msnas.export.onnx_session import OnnxSession
from msnas.files import written

CALIBRATED = 64  # training images that ranges are measured on
LAYERS = ("Conv", "Gemm", "MatMul")  # operators that are quantised
SPLIT = "val"  # that AP is told on


@dataclass(frozen=True)
class Quantised:
    """The file; the one in float32 that it was made from, checked against torch; AP of both on images of `SPLIT`."""

    path: Path
    before: Exported
    ap_before: float
    ap_after: float
    images: int


def export_int8(
    detector: Any, settings: DataSettings, path: Path, *, size: str = "common", batch: int = 1, seed: int = 0
) -> Quantised:
    """Write `detector` to `path` in 8 bits. seed: of the run, which decides its reported split where no file does.

    Raises what `export_onnx` raises, of the float file; then `path` is not written.
    """
    source = read_source(settings)
    wanted = input_of(detector, source.val or source.train, size)
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / FILE
        made = export_onnx(detector, settings, plain, size=size, batch=batch)
        session = _opened(plain)
        inputs = session.inputs(wanted.canvases(source.train, CALIBRATED))
        scored = _Scored(open_split(settings, SPLIT, seed=seed), wanted)
        with written(path) as partial:
            quantise(plain, partial, session.input_name, inputs)
            after = scored.ap(_opened(partial))
        return Quantised(path, made, scored.ap(session), after, len(scored.indices))


def quantise(plain: Path, path: Path, name: str, inputs: Sequence[NDArray[Any]]) -> None:
    """Write the graph `plain` to `path` with quantised layers. inputs: for `name`, while ranges are measured."""
    import onnx  # an extra, as the next
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    metadata = {entry.key: entry.value for entry in onnx.load(plain).metadata_props}
    quantize_static(
        plain,
        path,
        _Inputs(name, inputs),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=list(LAYERS),
        per_channel=True,
        reduce_range=True,  # 7 bits of weights: without VNNI, products of 8 bits by 8 overflow their 16
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {**metadata, "precision": '"int8"'})
    onnx.save(model, path)


class _Inputs:
    """What onnxruntime's calibration asks for inputs, one by one, and None at the end."""

    def __init__(self, name: str, inputs: Sequence[NDArray[Any]]) -> None:
        self._left: Iterator[dict[str, NDArray[Any]]] = ({name: values} for values in inputs)

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        return next(self._left, None)


def _opened(path: Path) -> OnnxSession:
    return OnnxSession(path, threads=torch.get_num_threads())


class _Scored:
    """The images of a data set that fit into an input, to score graphs on."""

    def __init__(self, data: DetectionDataset, wanted: Input) -> None:
        self._wanted = wanted
        self.indices = [i for i in range(len(data)) if wanted.holds(data.size(i))]
        if not self.indices:
            raise DataError(f"No image of {SPLIT} fits into an input of {wanted.size[0]}x{wanted.size[1]} pixels.")
        self._data = data.subset(self.indices)

    def ap(self, session: OnnxSession) -> float:
        """COCO's AP of what the graph finds."""
        detections: list[dict[str, Any]] = []
        for start in range(0, len(self._data), session.batch):
            chosen = range(start, min(start + session.batch, len(self._data)))
            canvases = [self._wanted.laid_out(self._data.load(i)[0] / 255) for i in chosen]
            for i, (boxes, scores, labels) in zip(chosen, session.detections(canvases), strict=True):
                height, width = self._data.size(i)
                inside = np.minimum(boxes, np.array([width, height] * 2, boxes.dtype))  # not in the padding
                found = {"boxes": inside, "scores": scores, "labels": labels}
                detections += self._data.results(i, {name: torch.from_numpy(v) for name, v in found.items()})
        return float(evaluate_detections(self._data, detections, 0.0).numbers["ap"])
