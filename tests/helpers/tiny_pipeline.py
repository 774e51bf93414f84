"""The real parts at their smallest: shapes of 64 pixels, a supernet of 5 blocks and 8 channels, its detector.

Worker processes import it, so everything is built by functions of plain arguments.
"""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from msnas.data.batches import Batches
from msnas.data.opening import Splits, open_data
from msnas.data.settings import DataSettings
from msnas.detectors.faster_rcnn import FasterRCNN
from msnas.engine import checkpoint
from msnas.engine.detector_scoring import CandidateEvaluator
from msnas.engine.devices import Hardware
from msnas.engine.recipe import Recipe
from supernet.strides.architecture import Architecture
from supernet.strides.stride_encoder import MixedEncoder
from supernet.strides.stride_space import StrideSpace

SHAPE: dict[str, Any] = {"block": "basic", "depth": 5, "channels": 8, "base_stride": 4}


def splits(folder: str) -> Splits:
    drawing = {"name": "shapes", "root": folder, "size": 64, "train": 48, "val": 8}
    search_val = {"minimum": 8, "maximum": 8}
    settings = DataSettings.from_mapping(
        {**drawing, "short_side": 64, "long_side": 64, "search_val": search_val, "workers": 0}
    )
    return open_data(settings, seed=0)


@cache
def space() -> StrideSpace:
    return StrideSpace(**SHAPE, input_size=(64, 64))


def path(seed: int) -> Architecture:
    return space().decode(space().sample(np.random.default_rng(seed)))


def supernet(classes: int, seed: int = 0) -> FasterRCNN:
    torch.manual_seed(seed)
    small = {"box_channels": 8, "fc_channels": 16, "rois_per_image": 16, "rpn_batch": 32, "detections": 100}
    small |= {
        "rpn_pre_nms_train": 60,
        "rpn_pre_nms_test": 200,
        "rpn_post_nms_train": 30,
        "rpn_post_nms_test": 100,
    }
    encoder = MixedEncoder(**SHAPE)
    return FasterRCNN(encoder, num_classes=classes, short_side=64, long_side=64, score_threshold=0.0, **small)


def evaluator(folder: str, weights: str | None = None, **recipe: Any) -> CandidateEvaluator:
    data = splits(folder)
    model = supernet(len(data.train.classes), seed=0 if weights is None else 99)
    if weights is not None:
        checkpoint.load_weights(Path(weights), model)
    return CandidateEvaluator(
        model,
        lambda size, seed: Batches(data.supernet_train, size, seed=seed),
        data.search_val,
        space=space(),
        recipe=Recipe(**({"iterations": 3, "batch": 4, "lr": 0.04, "bn_images": 16, "bn_batch": 16} | recipe)),
        seed=5,
        hardware=Hardware(threads=1),
    )
