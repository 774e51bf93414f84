"""What happens to an image on its way into a batch: flip, scale jitter and crop, a function of one seed."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchvision.ops import box_area, clip_boxes_to_image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F

Target = dict[str, Tensor | int]
SMALLEST = 1.0  # pixels a side that must be left of an object in a crop (of thinner ones, half)


@dataclass(frozen=True, kw_only=True)
class View:
    """One way to see an image of `whole` pixels: maybe mirrored, then resized to `size`, then cut to a window.

    whole, size: (height, width). window: (top, left, height, width) in the resized image; None: all is seen.
    """

    whole: tuple[int, int]
    size: tuple[int, int]
    mirrored: bool = False
    window: tuple[int, int, int, int] | None = None

    @classmethod
    def drawn(
        cls,
        seed: int,
        whole: tuple[int, int],
        *,
        flip: float = 0.5,
        jitter: tuple[float, float] = (1.0, 1.0),
        crop: bool = False,
        square: int | None = None,
    ) -> "View":
        """A function of `seed`. flip: probability of mirroring left and right.

        jitter: the size is multiplied by a factor drawn uniformly between the two. crop: what has become larger is cut
        to the size that it had, somewhere. square: sides longer than so many pixels are cut to them, somewhere.
        """
        draw = random.Random(seed)
        mirrored, factor = draw.random() < flip, draw.uniform(*jitter)
        height, width = whole
        size = max(1, round(height * factor)), max(1, round(width * factor))
        window = None
        if square is not None or (crop and factor > 1):
            height, width = (min(side, square or before) for side, before in zip(size, whole, strict=True))
            window = draw.randint(0, size[0] - height), draw.randint(0, size[1] - width), height, width
        return cls(whole=whole, size=size, mirrored=mirrored, window=window)

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of what is seen."""
        return self.size if self.window is None else self.window[2:]

    def of_image(self, image: Tensor) -> Tensor:
        """The image [3, h, w] in this view."""
        if self.mirrored:
            image = F.horizontal_flip(image)
        if self.size != self.whole:
            image = F.resize(image, list(self.size), antialias=True)
        return self._window(image)

    def of_target(self, target: Target) -> Target:
        """Its target (boxes xyxy, pixels): boxes, areas and masks [n, h, w] follow, objects that are cut off go."""
        if self.mirrored:
            target = mirrored_target(target, self.whole[1])
        if self.size != self.whole:
            target = _rescaled(target, self.whole, self.size)
        return target if self.window is None else self._cropped(target, self.window)

    def _window(self, pixels: Tensor) -> Tensor:
        if self.window is None:
            return pixels
        top, left, height, width = self.window
        return pixels[..., top : top + height, left : left + width]

    def _cropped(self, target: Target, window: tuple[int, int, int, int]) -> Target:
        top, left, *shape = window
        boxes, area = target["boxes"], target["area"]
        assert isinstance(boxes, Tensor)
        assert isinstance(area, Tensor)
        seen = clip_boxes_to_image(boxes - boxes.new_tensor([left, top, left, top]), (shape[0], shape[1]))
        changed = {"boxes": seen, "area": area * (box_area(seen) / box_area(boxes))} | _masks(target, self._window)
        sides, whole = (b[:, 2:] - b[:, :2] for b in (seen, boxes))
        kept = (sides >= (whole / 2).clamp(max=SMALLEST)).all(dim=1)
        of_objects = {name: value for name, value in (target | changed).items() if isinstance(value, Tensor)}
        return target | {name: value[kept] for name, value in of_objects.items()}


def augment(image: Tensor, target: Target, seed: int, **options: Any) -> tuple[Tensor, Target]:
    """A copy of an image [3, h, w] and its target in a view drawn from `seed` (options: see `View.drawn`).

    Nothing that came in is changed.
    """
    height, width = image.shape[-2:]
    view = View.drawn(seed, (height, width), **options)
    return view.of_image(image), view.of_target(target)


def mirrored_target(target: Target, width: int) -> Target:
    """The target of the mirror image of an image that is `width` pixels wide."""
    boxes = target["boxes"]
    assert isinstance(boxes, Tensor)
    mirrored = torch.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], dim=1)
    return target | {"boxes": mirrored} | _masks(target, F.horizontal_flip)


def _rescaled(target: Target, whole: tuple[int, int], size: tuple[int, int]) -> Target:
    down, across = size[0] / whole[0], size[1] / whole[1]
    boxes, area = target["boxes"], target["area"]
    assert isinstance(boxes, Tensor)
    assert isinstance(area, Tensor)
    changed: Target = {
        "boxes": boxes * boxes.new_tensor([across, down, across, down]),
        "area": area * (across * down),
    }
    masks = _masks(target, lambda m: F.resize(m, list(size), interpolation=InterpolationMode.NEAREST))
    return target | changed | masks


def _masks(target: Target, change: Callable[[Tensor], Tensor]) -> Target:
    masks = target.get("masks")
    return {"masks": change(masks)} if isinstance(masks, Tensor) else {}
