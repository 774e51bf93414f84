"""A training step of a supernet's path, of the same path alone, of torchvision's Faster R-CNN at its MACs.

    python experiments/bench/supernet_step.py --rounds 15 [--json]

One step is forward, backward and SGD on a batch of drawn noise. The three take turns, and CPU seconds are
counted, so that a busy machine disturbs the ratios of the medians, which are the result, as little as may be.
torchvision's detector stands on the FPN baseline, its width and channels scaled to the path's MACs, with the
same second stage.
"""

import argparse
import json
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from timing import Row, Target, in_turn, medians, ratio_row
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN as TorchvisionFasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import MultiScaleRoIAlign

from msnas.detectors.box_head import BoxPredictor, make_box_head
from msnas.detectors.faster_rcnn import FasterRCNN
from supernet.strides.architecture import Architecture
from supernet.strides.first_stage_cost import first_stage_cost, fpn_cost, scale_fpn
from supernet.strides.fpn_encoder import FpnEncoder
from supernet.strides.stride_encoder import MixedEncoder

PATH = "1,2,2,1,2,1,0.5,1,1,0.5,1,1,0.5|8,8,16,16,32"  # MSNAS, Table 7
CLASSES, ROIS, BOX_CHANNELS, FC_CHANNELS = 5, 32, 32, 128
RPN = {"rpn_pre_nms": (300, 200), "rpn_post_nms": (100, 60)}  # (training, testing)


class PyramidByName(nn.Module):
    """An FPN as torchvision wants it: a dict of named levels."""

    def __init__(self, encoder: FpnEncoder) -> None:
        super().__init__()
        self.encoder, self.out_channels = encoder, encoder.out_channels

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        """[B, 3, H, W] to P2..P6."""
        return OrderedDict((str(level), x) for level, x in enumerate(self.encoder(images)))


def ours(encoder: Any, size: int, *, classes: int = CLASSES, long_side: int | None = None) -> FasterRCNN:
    """Our detector with the sizes of `scale=tiny`."""
    options = {f"{name}_{mode}": RPN[name][i] for name in RPN for i, mode in enumerate(("train", "test"))}
    return FasterRCNN(
        encoder,
        num_classes=classes,
        short_side=size,
        long_side=long_side or size,
        box_channels=BOX_CHANNELS,
        fc_channels=FC_CHANNELS,
        rois_per_image=ROIS,
        rpn_batch=64,
        **options,
    )


def torchvisions(encoder: FpnEncoder, size: int) -> nn.Module:
    """torchvision's detector with the same parts of the second stage and the same numbers."""
    options = {f"{name}_top_n_{mode}": RPN[name][i] for name in RPN for i, mode in enumerate(("train", "test"))}
    sizes = tuple((anchor * size / 800,) for anchor in (32, 64, 128, 256, 512))
    detector: nn.Module = TorchvisionFasterRCNN(
        PyramidByName(encoder),
        min_size=size,
        max_size=size,
        size_divisible=encoder.divisor,
        rpn_anchor_generator=AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * 5),
        rpn_batch_size_per_image=64,
        box_roi_pool=MultiScaleRoIAlign(list("0123"), 7, 2, canonical_scale=round(224 * size / 800)),
        box_head=make_box_head("2conv1fc", encoder.out_channels, channels=BOX_CHANNELS, fc_channels=FC_CHANNELS),
        box_predictor=BoxPredictor(FC_CHANNELS, CLASSES + 1),
        box_batch_size_per_image=ROIS,
        **options,
    )
    return detector


def batch_of(number: int, size: int) -> tuple[list[Tensor], list[dict[str, Tensor]]]:
    """Noise with four boxes an image."""
    corner = torch.rand(number, 4, 2) * size * 0.6
    boxes = torch.cat([corner, corner + 4 + torch.rand(number, 4, 2) * size * 0.35], dim=2)
    images = list(torch.rand(number, 3, size, size))
    return images, [{"boxes": b, "labels": torch.randint(1, CLASSES + 1, (4,))} for b in boxes]


def stepper(detector: nn.Module, batch: Any, *path: Architecture) -> Callable[[], None]:
    """A function that does one step: forward, backward, SGD."""
    optimizer = torch.optim.SGD(detector.train().parameters(), lr=1e-4, momentum=0.9, fused=True)

    def step() -> None:
        loss = sum(detector(*batch, *path).values())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step


def measure(
    rounds: int, *, architecture: str = PATH, block: str = "basic", channels: int = 32, size: int = 128, batch: int = 8
) -> tuple[dict[str, list[float]], dict[str, int]]:
    """CPU seconds of the three steps, round by round, and the MACs of the path and of torchvision's first stage."""
    torch.manual_seed(0)
    path, side = Architecture.parse(architecture), (size, size)
    shape: dict[str, Any] = {"block": block, "channels": channels}
    macs = first_stage_cost(path, input_size=side, **shape).macs
    width, scaled = scale_fpn("resnet18", macs=macs, input_size=side)
    supernet = ours(MixedEncoder(depth=len(path.strides), **shape), size)
    baseline = torchvisions(FpnEncoder("resnet18", width=width, channels=scaled), size)
    images = batch_of(batch, size)
    steps = {
        "supernet": stepper(supernet, images, path),
        "alone": stepper(supernet.extract(path), images),
        "torchvision": stepper(baseline, images),
    }
    theirs = fpn_cost("resnet18", width=width, channels=scaled, input_size=side).macs
    return in_turn(steps, rounds, warm=min(3, rounds)), {"path": macs, "torchvision": theirs}


def rows(tiny: bool) -> list[Row]:
    """A path in the supernet beside itself cut out, and beside torchvision's Faster R-CNN at its MACs."""
    seconds, _ = measure(1, size=64, batch=1, channels=8) if tiny else measure(20)
    return [
        ratio_row("step of a path: in the supernet / cut out", seconds, "supernet", "alone", Target(1.05)),
        ratio_row("step of a path / of Faster R-CNN at its MACs", seconds, "supernet", "torchvision", Target(1.0)),
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", default=PATH)
    parser.add_argument("--block", default="basic")
    parser.add_argument("--channels", type=int, default=32)
    parser.add_argument("--size", type=int, default=128, help="pixels, a multiple of 64")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    options = {name: getattr(args, name) for name in ("architecture", "block", "channels", "size", "batch")}
    seconds, macs = measure(args.rounds, **options)
    median = medians(seconds)
    result = {
        "macs": macs,
        "median_cpu_seconds": median,
        "least_cpu_seconds": {name: min(values) for name, values in seconds.items()},
        "supernet_to_alone": median["supernet"] / median["alone"],
        "alone_to_torchvision": median["alone"] / median["torchvision"],
    }
    print(json.dumps(result, indent=None if args.json else 1))


if __name__ == "__main__":
    main()
