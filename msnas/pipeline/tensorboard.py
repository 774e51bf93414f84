"""A run as TensorBoard shows it while it goes on: `log.tensorboard=true` writes event files into the stages' folders.

Nothing is read back from them: what counts stands in metrics.jsonl, history.sqlite and result.json.
"""

import importlib.util
import tempfile
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from msnas.data.dataset import DetectionDataset
from msnas.data.images import read_upright
from msnas.drawings.detections import draw_detections
from msnas.engine.devices import Hardware, to_device
from msnas.engine.evaluation import evaluation_mode
from msnas.errors import ConfigError
from msnas.families.family import Picture
from msnas.setup.setup import Setup

PICTURES = 4  # images of a data set whose detections are shown
_NOT_DRAWN = ("step", "generation")  # what a curve is drawn over


class Board:
    """The event files of one training or search in `folder`; writes nothing where it is not `on`.

    Raises ConfigError where the package is not installed.
    """

    def __init__(self, folder: Path, *, on: bool) -> None:
        self.on, self._folder = on, folder
        self._writer: Any = None
        if on and importlib.util.find_spec("tensorboard") is None:
            raise ConfigError("log.tensorboard=true needs the extra `tensorboard`: pip install 'msnas[tensorboard]'.")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if self._writer is not None:
            self._writer.close()

    def scalars(self, step: int, values: Mapping[str, Any], *, part: str = "") -> None:
        """Every number of `values` as a point of the curve `part/NAME`."""
        for name, value in values.items():
            if isinstance(value, int | float) and name not in _NOT_DRAWN and self.on:
                self._open(step).add_scalar(f"{part}/{name}" if part else name, value, step)

    def picture(self, step: int, name: str, pixels: NDArray[np.uint8]) -> None:
        """pixels: [h, w, 3] RGB."""
        if self.on:
            self._open(step).add_image(name, pixels, step, dataformats="HWC")

    def _open(self, step: int) -> Any:
        """The writer; the points from `step` on that a killed run left behind are hidden."""
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter  # an extra

            self._writer = SummaryWriter(str(self._folder), purge_step=step)
        return self._writer


def training_board(
    board: Board,
    model: nn.Module,
    dataset: DetectionDataset,
    *,
    every: int,
    steps: int,
    hardware: Hardware,
    path_of_step: Callable[[int], Hashable] | None = None,
) -> Callable[[Mapping[str, Any]], None]:
    """What `train` reports each step to: its numbers and, each `every` steps and at the last, detections on `dataset`.

    path_of_step: the path that a supernet detects along, that of the step just made.
    """

    def report(line: Mapping[str, Any]) -> None:
        if not board.on:
            return
        step = int(line["step"])
        losses = {name: value for name, value in line.items() if name not in ("lr", "norm", "seconds", "waited")}
        board.scalars(step, losses, part="loss")
        speed = {"lr": line["lr"], "gradient norm": line["norm"], "steps per second": 1 / line["seconds"]}
        board.scalars(step, speed, part="step")
        if (step + 1) % every == 0 or step + 1 == steps:
            path = None if path_of_step is None else path_of_step(step)
            for index in range(min(PICTURES, len(dataset))):
                picture = detections_beside_truth(model, dataset, index, path=path, hardware=hardware)
                board.picture(step, f"truth and detections/{dataset.image_ids[index]}", picture)

    return report


def picture_of(setup: Setup, architecture: Any) -> NDArray[np.uint8]:
    """The drawing of an architecture as pixels [h, w, 3]."""
    picture = Picture(architecture, "The winner", space=setup.space)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "architecture.png"
        setup.family.draw([picture], path, borders=setup.fit.groups.borders)
        return read_upright(path)


def detections_beside_truth(
    model: nn.Module, dataset: DetectionDataset, index: int, *, path: Hashable | None, hardware: Hardware
) -> NDArray[np.uint8]:
    """An image [h, 2 w, 3] twice: with its objects, and with as many detections, the best ones.

    Without a threshold on scores, so that a network that is sure of nothing yet shows what it looks at.
    """
    image, target = dataset.load(index)
    truth = {name: torch.as_tensor(target[name]) for name in ("boxes", "labels")}
    truth["scores"] = torch.ones(len(truth["labels"]))
    images, _ = to_device([image], [], hardware.device)
    with evaluation_mode(model), torch.inference_mode(), hardware.autocast():
        [output] = model(images, None, path)
    best = output["scores"].argsort(descending=True)[: len(truth["labels"])]
    found = {name: values[best].float().cpu() for name, values in output.items()}
    pixels = image.permute(1, 2, 0).numpy()
    return np.concatenate([draw_detections(pixels, boxes, dataset.classes) for boxes in (truth, found)], axis=1)
