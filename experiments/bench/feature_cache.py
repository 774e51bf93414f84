"""What a training step costs on cached features, with the frozen backbone in it, and with all of it trained.

    python experiments/bench/feature_cache.py --rounds 12 [--json]

A timm backbone under torchvision's FPN and its detection heads, the same targets for all; the steps take turns, CPU
seconds are counted, the result is the medians and their ratios. Beside them: what the cache takes, how long an image
takes to cache alone and in batches, and what a batch costs to load from memory and from a mapped file.
"""

import argparse
import itertools
import json
import tempfile
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from timing import in_turn, medians
from torch import Tensor, nn
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelMaxPool

from msnas.data.batches import Batches
from msnas.data.cached_dataset import CachedDataset
from msnas.data.opening import Splits, open_data
from msnas.data.settings import DataSettings, SearchVal
from msnas.detectors.faster_rcnn import FasterRCNN
from msnas.engine.devices import Hardware
from msnas.families.strides.prefix_features import cache_images
from supernet.backbone import Backbone


class PrefixFpn(nn.Module):
    """A backbone as the prefix, an FPN from level `finest` to 6 as what comes after it."""

    shared_heads, divisor = True, 64

    def __init__(self, backbone: str, finest: int, channels: int) -> None:
        super().__init__()
        levels = tuple(range(finest, 6))
        self.num_groups, self.roi_levels = len(levels) + 1, (finest, 5)
        self.backbone = Backbone(backbone, levels)
        self.feature_strides = tuple(2**level for level in levels)
        self.image_mean, self.image_std, self.out_channels = self.backbone.mean, self.backbone.std, channels
        self.pyramid = FeaturePyramidNetwork(self.backbone.channels, channels, LastLevelMaxPool())

    def prefix(self, images: Tensor) -> list[Tensor]:
        """The backbone's levels."""
        features: list[Tensor] = self.backbone(images)
        return features

    def from_features(self, features: list[Tensor]) -> list[Tensor]:
        """The pyramid, P6 last."""
        return list(self.pyramid(OrderedDict((str(i), feature) for i, feature in enumerate(features))).values())

    def forward(self, images: Tensor) -> list[Tensor]:
        """The pyramid of images."""
        return self.from_features(self.prefix(images))


def make_step(model: FasterRCNN, batches: Batches, *, frozen: bool) -> Callable[[int], None]:
    """A whole step: load, forward, backward, SGD."""
    body = model.encoder.backbone
    body.requires_grad_(not frozen)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-3, momentum=0.9, fused=True)

    def step(number: int) -> None:
        model.train()
        if frozen:
            body.eval()
        torch.manual_seed(number)
        images, targets = batches.batch(number)
        loss = torch.stack(list(model(images, targets).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def seconds(work: Callable[[], Any]) -> float:
    """CPU seconds of one call."""
    began = time.process_time()
    work()
    return time.process_time() - began


def noise(folder: Path, size: tuple[int, int], images: int) -> Splits:
    """Images of noise of (height, width) `size` with five random boxes each: what they show costs nothing."""
    rng, (height, width) = np.random.default_rng(0), size
    (folder / "images").mkdir()
    for split, count in (("train", images), ("val", 1)):
        records, annotations = [], []
        for number in range(count):
            name = f"{split}{number}.png"
            Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).save(folder / "images" / name)
            records.append({"id": number + 1, "file_name": name, "height": height, "width": width})
            for _ in range(5):
                box = [*rng.uniform(0, (width / 2, height / 2)), *rng.uniform(16, (width / 2, height / 2))]
                item = {"id": len(annotations) + 1, "image_id": number + 1, "category_id": 1, "bbox": box}
                annotations.append(item | {"area": box[2] * box[3], "iscrowd": 0})
        content = {"images": records, "annotations": annotations, "categories": [{"id": 1, "name": "noise"}]}
        (folder / f"{split}.json").write_text(json.dumps(content))
    settings = {"root": str(folder), "short_side": min(size), "long_side": max(size), "workers": 0}
    return open_data(DataSettings(**settings, search_val=SearchVal(minimum=1)), seed=0)


def run(args: argparse.Namespace, folder: str) -> dict[str, Any]:
    """All measurements."""
    torch.set_num_threads(args.threads)
    hardware, size = Hardware(threads=args.threads), (args.height, args.width)
    splits = noise(Path(folder), size, args.images)

    def made() -> FasterRCNN:
        torch.manual_seed(0)
        small = {"box_channels": 64, "fc_channels": 256, "rois_per_image": 64, "rpn_post_nms_train": 200}
        encoder: Any = PrefixFpn(args.backbone, args.finest, args.channels)
        classes = len(splits.train.classes)
        return FasterRCNN(encoder, num_classes=classes, short_side=size[0], long_side=size[1], **small)

    model = made()
    data = splits.train
    cached: list[Any] = []
    caching = seconds(lambda: cached.append(cache_images(model, [data], hardware=hardware)))
    needed = cached[0].memory
    mapped = cache_images(model, [data], hardware=hardware, folder=Path(folder) / "features", memory_limit=0)
    features = CachedDataset(data, cached[0])
    image = torch.rand(8, 3, args.height, args.width)
    with torch.inference_mode():
        alone = seconds(lambda: [model.encoder.prefix(one[None]) for one in image])
        together = seconds(lambda: model.encoder.prefix(image))
        same = all(
            torch.equal(a[0], b[0])
            for a, b in zip(model.encoder.prefix(image[:1]), model.encoder.prefix(image), strict=True)
        )
    steps = {
        "cached": make_step(made(), Batches(features, args.batch, seed=0), frozen=True),
        "frozen, not cached": make_step(made(), Batches(data, args.batch, seed=0), frozen=True),
        "the whole network": make_step(made(), Batches(data, args.batch, seed=0), frozen=False),
    }
    numbers = {name: itertools.count() for name in steps}
    works = {name: lambda step=step, of=numbers[name]: step(next(of)) for name, step in steps.items()}
    median = medians(in_turn(works, args.rounds))
    loads = {
        name: seconds(lambda d=dataset: [[m.float() for m in d.load(i, seed=i)[0].maps] for i in range(len(d))])
        for name, dataset in (("memory", features), ("mapped", CachedDataset(data, mapped)))
    }
    return {
        "size": data.size(0),
        "images": len(data),
        "cache_megabytes": needed / 1e6,
        "cpu_seconds_to_cache_an_image": caching / len(data),
        "prefix_alone_over_batch_of_8": alone / together,
        "features_of_a_batch_equal_those_alone": same,
        "cpu_seconds_a_step": median,
        "times_faster_than_frozen": median["frozen, not cached"] / median["cached"],
        "times_faster_than_whole": median["the whole network"] / median["cached"],
        "load_milliseconds_an_image": {name: 1e3 * spent / len(data) for name, spent in loads.items()},
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="tf_efficientnet_lite0")
    parser.add_argument("--height", type=int, default=192)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--finest", type=int, default=3, help="finest level that is cached")
    parser.add_argument("--channels", type=int, default=48)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = run(args, folder)
    print(json.dumps(found, indent=None if args.json else 1))


if __name__ == "__main__":
    main()
