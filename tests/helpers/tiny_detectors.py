"""Detectors that train in milliseconds, and one batch for them."""

import torch

from msnas.detectors.faster_rcnn import FasterRCNN
from supernet.strides.architecture import Architecture
from supernet.strides.fpn_encoder import FpnEncoder
from supernet.strides.stride_encoder import MixedEncoder, PathEncoder

PATH = Architecture.parse("1,2,1,2,0.5,2,2,0.5|4,8,8,16,32")
OTHER = Architecture.parse("1,1,2,2,0.5,0.5,2,1|4,4,8,8,16")
TINY = {
    "num_classes": 3,
    "short_side": 128,
    "long_side": 192,
    "box_channels": 16,
    "fc_channels": 64,
    "rois_per_image": 32,
    "rpn_batch": 64,
    "rpn_pre_nms_train": 200,
    "rpn_pre_nms_test": 100,
    "rpn_post_nms_train": 60,
    "rpn_post_nms_test": 40,
}


def make_encoder(kind):
    if kind == "fpn":
        return FpnEncoder("resnet18", width=0.25, channels=16)
    shape = {"block": "bottleneck" if kind == "bottleneck" else "basic", "channels": 16}
    if kind == "supernet":
        return MixedEncoder(depth=len(PATH.strides), **shape)
    if kind == "base_stride_2":
        return PathEncoder("1,2,2,0.5,2,2|2,4,4,8,16", base_stride=2, **shape)
    return PathEncoder(PATH, **shape)


def make_detector(kind="path", **options):
    torch.manual_seed(0)
    return FasterRCNN(make_encoder(kind), **{**TINY, **options})


def scene(masks=False):
    """Two images of bright squares, and what they show; the second is not square and holds two objects."""
    torch.manual_seed(1)
    images = [torch.rand(3, 128, 128) * 0.2, torch.rand(3, 128, 160) * 0.2]
    boxes = [[[20, 24, 60, 60]], [[50, 40, 110, 104], [8, 8, 24, 20]]]
    labels = [[1], [3, 2]]
    targets = []
    for i, image in enumerate(images):
        target = {"boxes": torch.tensor(boxes[i], dtype=torch.float32), "labels": torch.tensor(labels[i])}
        target["image_id"] = 100 + i
        if masks:
            target["masks"] = torch.zeros(len(boxes[i]), *image.shape[-2:], dtype=torch.uint8)
        for n, (left, top, right, bottom) in enumerate(boxes[i]):
            image[labels[i][n] - 1, top:bottom, left:right] = 1
            if masks:
                target["masks"][n, top:bottom, left:right] = 1
        targets.append(target)
    return images, targets


def empty_target(height, width):
    return {
        "boxes": torch.zeros(0, 4),
        "labels": torch.zeros(0, dtype=torch.int64),
        "masks": torch.zeros(0, height, width, dtype=torch.uint8),
        "image_id": 7,
    }
