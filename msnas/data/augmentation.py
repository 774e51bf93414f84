"""What happens to an image on its way into a batch: flip, scale jitter and crop, a function of one seed."""

import random
from collections.abc import Callable

import torch
from torch import Tensor
from torchvision.ops import box_area, clip_boxes_to_image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F

Target = dict[str, Tensor | int]
SMALLEST = 1.0  # pixels a side that must be left of an object in a crop (of thinner ones, half)


def augment(
    image: Tensor,
    target: Target,
    seed: int,
    *,
    flip: float = 0.5,
    jitter: tuple[float, float] = (1.0, 1.0),
    crop: bool = False,
) -> tuple[Tensor, Target]:
    """A mirrored and rescaled copy of an image [3, h, w] and its target (boxes xyxy, pixels), drawn from `seed`.

    flip: probability of mirroring left and right. jitter: the size is multiplied by a factor drawn uniformly
    between the two. crop: what has become larger is cut to the size that it had, somewhere; objects that are
    cut off altogether go. Boxes, areas and masks [n, h, w] follow; nothing that came in is changed.
    """
    draw = random.Random(seed)
    mirrored, factor = draw.random() < flip, draw.uniform(*jitter)
    if mirrored:
        image, target = F.horizontal_flip(image), mirrored_target(target, image.shape[-1])
    height, width = image.shape[-2:]
    size = max(1, round(height * factor)), max(1, round(width * factor))
    if size != (height, width):
        image, target = _rescaled(image, target, size)
    if crop and factor > 1:
        top, left = draw.randint(0, size[0] - height), draw.randint(0, size[1] - width)
        image, target = _cropped(image, target, top, left, (height, width))
    return image, target


def is_mirrored(seed: int, flip: float) -> bool:
    """Whether `augment` mirrors with this seed: its first draw."""
    return random.Random(seed).random() < flip


def mirrored_target(target: Target, width: int) -> Target:
    """The target of the mirror image of an image that is `width` pixels wide."""
    boxes = target["boxes"]
    assert isinstance(boxes, Tensor)
    mirrored = torch.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], dim=1)
    return target | {"boxes": mirrored} | _masks(target, F.horizontal_flip)


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


def _cropped(image: Tensor, target: Target, top: int, left: int, size: tuple[int, int]) -> tuple[Tensor, Target]:
    height, width = size
    boxes, area = target["boxes"], target["area"]
    assert isinstance(boxes, Tensor)
    assert isinstance(area, Tensor)
    seen = clip_boxes_to_image(boxes - boxes.new_tensor([left, top, left, top]), size)
    changed = {"boxes": seen, "area": area * (box_area(seen) / box_area(boxes))}
    changed |= _masks(target, lambda m: m[..., top : top + height, left : left + width])
    sides, whole = (b[:, 2:] - b[:, :2] for b in (seen, boxes))
    kept = (sides >= (whole / 2).clamp(max=SMALLEST)).all(dim=1)
    window = image[..., top : top + height, left : left + width]
    of_objects = {name: value for name, value in (target | changed).items() if isinstance(value, Tensor)}
    return window, target | {name: value[kept] for name, value in of_objects.items()}


def _masks(target: Target, change: Callable[[Tensor], Tensor]) -> Target:
    masks = target.get("masks")
    return {"masks": change(masks)} if isinstance(masks, Tensor) else {}
