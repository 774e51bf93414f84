"""What happens to an image on its way into a batch: flip and scale jitter, a function of one seed."""

import random
from collections.abc import Callable

import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F

Target = dict[str, Tensor | int]


def augment(
    image: Tensor, target: Target, seed: int, *, flip: float = 0.5, jitter: tuple[float, float] = (1.0, 1.0)
) -> tuple[Tensor, Target]:
    """A mirrored and rescaled copy of an image [3, h, w] and its target (boxes xyxy, pixels), drawn from
    `seed`.

    flip: probability of mirroring left and right. jitter: the size is multiplied by a factor drawn uniformly
    between the two. Boxes, areas and masks [n, h, w] follow; nothing that came in is changed.
    """
    draw = random.Random(seed)
    mirrored, factor = draw.random() < flip, draw.uniform(*jitter)
    if mirrored:
        image, target = _mirrored(image, target)
    height, width = image.shape[-2:]
    size = max(1, round(height * factor)), max(1, round(width * factor))
    return (image, target) if size == (height, width) else _rescaled(image, target, size)


def _mirrored(image: Tensor, target: Target) -> tuple[Tensor, Target]:
    boxes = target["boxes"]
    assert isinstance(boxes, Tensor)
    width = image.shape[-1]
    mirrored = torch.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], dim=1)
    return F.horizontal_flip(image), target | {"boxes": mirrored} | _masks(target, F.horizontal_flip)


def _rescaled(image: Tensor, target: Target, size: tuple[int, int]) -> tuple[Tensor, Target]:
    height, width = image.shape[-2:]
    down, across = size[0] / height, size[1] / width
    boxes, area = target["boxes"], target["area"]
    assert isinstance(boxes, Tensor)
    assert isinstance(area, Tensor)
    changed: Target = {
        "boxes": boxes * boxes.new_tensor([across, down, across, down]),
        "area": area * (across * down),
    }
    masks = _masks(target, lambda m: F.resize(m, list(size), interpolation=InterpolationMode.NEAREST))
    return F.resize(image, list(size), antialias=True), target | changed | masks


def _masks(target: Target, change: Callable[[Tensor], Tensor]) -> Target:
    masks = target.get("masks")
    return {"masks": change(masks)} if isinstance(masks, Tensor) else {}
