"""A deformable convolution by samples beside torchvision's operator, alone and in a training step of a whole detector.

    python experiments/bench/deformable.py --rounds 7 [--json]

The two take turns, and CPU seconds are counted, so that a busy machine disturbs the ratios of the medians, which are
the result, as little as may be. The detector is FCOS with the published NAS-FCOS decoder on a ResNet-18.
"""

import argparse
import json
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
from timing import in_turn, medians
from torch import Tensor

from msnas.detectors.fcos import FCOS
from supernet.nas_fcos import operations as nas_fcos_ops
from supernet.nas_fcos.decoder import PUBLISHED
from supernet.nas_fcos.fcos_encoder import FcosEncoder
from supernet.nas_fcos.operations import deformable_by_sampling, torchvisions

WAYS = {"torchvision": torchvisions, "samples": deformable_by_sampling}
SHAPES = ((8, 64, 4, 6), (8, 32, 16, 24), (8, 64, 16, 24), (8, 64, 32, 48), (8, 128, 32, 48))


def convolution(shape: tuple[int, int, int, int]) -> Callable[[Any], None]:
    """Forward and backward of one 3x3 convolution with two groups of offsets, given the way that it is done."""
    batch, channels, height, width = shape
    x, offset = torch.randn(shape), torch.randn(batch, 36, height, width)
    weight, bias, mask = torch.randn(channels, channels, 3, 3), torch.randn(channels), torch.rand(batch, 18, *shape[2:])
    inputs = [tensor.requires_grad_() for tensor in (x, offset, weight, bias, mask)]

    def run(way: Any) -> None:
        torch.autograd.grad(way(*inputs).sum(), inputs)

    return run


def training_step(args: argparse.Namespace) -> Callable[[Any], None]:
    """Forward and backward of the detector on noise with four boxes an image."""
    height, width = args.size
    encoder = FcosEncoder(PUBLISHED.pyramid, backbone="resnet18", width=args.width, channels=args.channels)
    detector = FCOS(encoder, num_classes=3, short_side=height, long_side=width, head=str(PUBLISHED.head)).train()
    corner = torch.rand(args.batch, 4, 2) * height * 0.6
    boxes = torch.cat([corner, corner + 4 + torch.rand(args.batch, 4, 2) * height * 0.35], dim=2)
    images = list(torch.rand(args.batch, 3, height, width))
    targets: list[dict[str, Tensor]] = [{"boxes": b, "labels": torch.randint(1, 4, (4,))} for b in boxes]

    def run(way: Any) -> None:
        with patch.object(nas_fcos_ops, "deformable_by_sampling", way):
            sum(detector(images, targets).values()).backward()

    return run


def compare(run: Callable[[Any], None], rounds: int) -> dict[str, float]:
    """Median CPU seconds of both ways in turn, and their ratio."""
    works = {name: partial(run, way) for name, way in WAYS.items()}
    median = medians(in_turn(works, rounds))
    return {**median, "ratio": median["torchvision"] / median["samples"]}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs=2, default=(128, 192), help="of the step's images, pixels")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--channels", type=int, default=64, help="of pyramid and head")
    parser.add_argument("--width", type=float, default=0.25, help="of the backbone")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    result = {"x".join(map(str, shape)): compare(convolution(shape), args.rounds) for shape in SHAPES}
    result["training step"] = compare(training_step(args), args.rounds)
    print(json.dumps(result, indent=None if args.json else 1))


if __name__ == "__main__":
    main()
