"""What scoring one decoder costs, on the cached features of a shallow and of a deep backbone.

    python experiments/bench/decoder_sample.py --decoders 6 [--json]

Both backbones' features of the same drawn images are cached; then the same random pyramids are trained and judged on
either, in turn, and CPU seconds are counted. The result is the ratio of the sums; the paper's claim is that it does
not depend on the backbone's depth. Beside it: what one pass of each backbone costs, which the cache saves.
"""

import argparse
import json
import tempfile
import time
from typing import Any

import numpy as np
import torch

from msnas.data.opening import Splits, open_data
from msnas.data.settings import DataSettings
from msnas.detectors.fcos import FCOS
from msnas.engine.devices import Hardware
from msnas.families.nas_fcos.caching import cache_features
from msnas.families.nas_fcos.decoder_recipe import DecoderRecipe
from msnas.families.nas_fcos.decoder_scoring import DecoderData, DecoderEvaluator
from msnas.families.nas_fcos.progressive_search import pyramid_maker
from supernet.nas_fcos.fcos_encoder import FcosEncoder
from supernet.nas_fcos.pyramid_space import PyramidSpace


def drawn(folder: str, size: int, images: int) -> Splits:
    """Drawn images, a quarter of them held out."""
    held_out = {"minimum": images // 4, "maximum": images // 4}
    return open_data(
        DataSettings.from_mapping(
            {
                "name": "shapes", "root": folder, "size": size, "train": images, "val": 1, "workers": 0,
                "short_side": size, "long_side": size, "search_val": held_out,
            }
        ),
        seed=0,
    )  # fmt: skip


def evaluator_on(backbone: str, splits: Splits, args: argparse.Namespace) -> tuple[DecoderEvaluator, float]:
    """A decoder's evaluator on the features of `backbone`, and the CPU seconds that caching an image took."""
    torch.manual_seed(0)
    classes, hardware = len(splits.train.classes), Hardware(threads=args.threads)
    detector = FCOS(FcosEncoder(backbone=backbone, channels=64), num_classes=classes, short_side=args.size)
    began = time.process_time()
    train, held_out = (
        cache_features(detector, d, hardware=hardware) for d in (splits.supernet_train, splits.search_val)
    )
    spent = (time.process_time() - began) / (train.images + held_out.images)
    space = PyramidSpace(
        backbone=backbone, channels=args.channels, num_classes=classes, input_size=(args.size, args.size)
    )
    recipe = DecoderRecipe(iterations=args.iterations, batch=args.batch)
    data = DecoderData(train, held_out, splits.search_val, detector)
    make = pyramid_maker(detector, space)
    return DecoderEvaluator(data, make, space=space, recipe=recipe, seed=0, hardware=hardware), spent


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", nargs=2, default=["resnet18", "resnet101"])
    parser.add_argument("--channels", type=int, default=64, help="of the pyramid and the head")
    parser.add_argument("--size", type=int, default=128, help="pixels")
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--iterations", type=int, default=4)
    parser.add_argument("--decoders", type=int, default=6)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    shallow, deep = args.backbones
    with tempfile.TemporaryDirectory() as folder:
        splits = drawn(folder, args.size, args.images)
        evaluators = {name: evaluator_on(name, splits, args) for name in args.backbones}
        seconds: dict[str, list[float]] = {name: [] for name in args.backbones}
        rng, space = np.random.default_rng(0), PyramidSpace()
        for turn in range(args.decoders + 1):
            genome = space.sample(rng)
            for name, (evaluate, _) in evaluators.items():
                began = time.process_time()
                evaluation = evaluate(genome)
                assert evaluation.ok, evaluation.reason
                if turn > 0:  # the first one warms up
                    seconds[name].append(time.process_time() - began)
    result: dict[str, Any] = {
        "cpu_seconds_a_decoder": {name: sum(values) / len(values) for name, values in seconds.items()},
        "cpu_seconds_to_cache_an_image": {name: spent for name, (_, spent) in evaluators.items()},
        "deep_to_shallow": sum(seconds[deep]) / sum(seconds[shallow]),
        "deep_to_shallow_of_each": [b / a for a, b in zip(seconds[shallow], seconds[deep], strict=True)],
    }
    print(json.dumps(result, indent=None if args.json else 1))


if __name__ == "__main__":
    main()
