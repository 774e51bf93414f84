"""AP of every exit of an anytime detector, from one pass over the images ("NAS-FPN", section 3.2)."""

import time
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from msnas.engine.devices import Hardware
from msnas.engine.evaluation import EvaluationData, EvaluationResult, detect, evaluate_detections
from msnas.engine.recipe import BATCH

EXIT = "exit"


def evaluate_exits(
    model: nn.Module,
    dataset: EvaluationData,
    *,
    hardware: Hardware | None = None,
    batch: int = BATCH,
    progress: Callable[[int, str], None] | None = None,
) -> dict[int, EvaluationResult]:
    """What each exit of `model` is worth, by the number of stacks before it; `seconds` are those of the one pass."""
    began = time.perf_counter()
    detections = detect(_AllExits(model), _ByExit(dataset), hardware=hardware, batch=batch, progress=progress)
    seconds = time.perf_counter() - began
    by_exit: dict[int, list[dict[str, Any]]] = {number: [] for number in model.exits}  # type: ignore[union-attr]
    for detection in detections:
        by_exit[detection.pop(EXIT)].append(detection)
    return {number: evaluate_detections(dataset, found, seconds) for number, found in by_exit.items()}


class _AllExits(nn.Module):
    """An image's detections by exit, where a detector gives those of one."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: Any = model

    def forward(self, images: list[Tensor], _: None = None, path: Any = None) -> list[dict[int, dict[str, Tensor]]]:
        """Images [3, h, w] to a dict of detections for each."""
        found = self.model.detect_at_exits(images, path)
        return [{number: found[number][index] for number in found} for index in range(len(images))]


class _ByExit:
    """A data set whose results say which exit they come from."""

    def __init__(self, dataset: EvaluationData) -> None:
        self._dataset, self.readers = dataset, dataset.readers
        self.size, self.load, self.ground_truth = dataset.size, dataset.load, dataset.ground_truth

    def __len__(self) -> int:
        return len(self._dataset)

    def results(self, index: int, output: Any) -> list[dict[str, Any]]:
        """COCO results of all exits."""
        return [{**row, EXIT: number} for number, one in output.items() for row in self._dataset.results(index, one)]
