"""How often the host waits for a GPU in a training step: ours beside torchvision's; run by `make bench`.

Counted on the pretended GPU of tests/rehearsal, so that none is needed; a step is forward, backward, the norm of the
gradient, SGD and a look at the losses.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from supernet_step import PyramidByName, torchvisions
from timing import Row, Target
from torch import nn
from torchvision.models import detection
from torchvision.models.detection.anchor_utils import AnchorGenerator

from msnas.engine.devices import Hardware
from msnas.engine.loop import Training, train
from msnas.engine.schedule import Schedule
from supernet.strides.fpn_encoder import FpnEncoder

TESTS = Path(__file__).resolve().parents[2] / "tests"
sys.path += [str(TESTS / "rehearsal"), str(TESTS / "helpers")]

import tiny_detectors  # noqa: E402
from pretended_cuda import pretended_cuda  # noqa: E402
from test_steps_on_cuda import Scene  # noqa: E402
from test_steps_on_cuda import detector as ours  # noqa: E402

SIZE = 128


def rows(tiny: bool) -> list[Row]:
    """A row for each kind of detector."""
    kinds = ["fcos"] if tiny else ["faster_rcnn", "retinanet", "fcos"]
    return [
        Row(
            f"waits of a step: {kind}",
            ("ours", [waits_of(lambda kind=kind: ours(kind), tiny_detectors.PATH)]),
            ("torchvision", [waits_of(lambda kind=kind: theirs(kind), None)]),
            "waits",
            Target(1.0),
        )
        for kind in kinds
    ]


def waits_of(made: Callable[[], nn.Module], path: Any) -> float:
    """How often the host waits in the second step; the first also moves what is moved once."""
    schedule, hardware = Schedule(steps=2, batch=2, lr=0.01, clip=1.0), Hardware(device=torch.device("cuda", 0))
    options: Any = {} if path is None else {"path_of_step": lambda step: path}
    training = Training(schedule=schedule, seed=0, stage="bench", hardware=hardware, **options)
    waited = []
    with pretended_cuda() as waits:

        def report(line: Any) -> None:
            waited.append(waits.total())
            waits.clear()

        model = made()
        train(_WithoutPath(model) if path is None else model, Scene(masks=False), training, report=report)
    return float(waited[1])


class _WithoutPath(nn.Module):
    """torchvision's detectors take no path."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Any, targets: Any, path: Any) -> Any:
        return self.model(images, targets)


def theirs(kind: str) -> nn.Module:
    """torchvision's detector of this kind over a small FPN."""
    torch.manual_seed(0)
    encoder = FpnEncoder("resnet18", width=0.25, channels=32)  # as few as the norms of its FCOS allow
    if kind == "faster_rcnn":
        return torchvisions(encoder, SIZE)
    sizes = {"fcos": (1,), "retinanet": (1, 2 ** (1 / 3), 2 ** (2 / 3))}[kind]
    anchors = [tuple(8 * 2**level * size for size in sizes) for level in range(5)]
    ratios = {"fcos": (1.0,), "retinanet": (0.5, 1.0, 2.0)}[kind]
    generator = AnchorGenerator(tuple(anchors), (ratios,) * 5)
    made = {"fcos": detection.FCOS, "retinanet": detection.RetinaNet}[kind]
    model: nn.Module = made(PyramidByName(encoder), 4, min_size=SIZE, max_size=192, anchor_generator=generator)
    model.transform.size_divisible = encoder.divisor
    return model
