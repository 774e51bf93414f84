"""What all detectors share: an encoder under heads, of which one path can be cut out; images or cached features in."""

import copy
from typing import Any, Self

import torch
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList

from msnas.data.cached_image import CachedImage, stacked
from msnas.detectors.transform import DetectorTransform
from supernet.strides.architecture import Architecture

Images = list[Tensor] | list[CachedImage]
Targets = list[dict[str, Any]] | None
Cached = dict[int, Tensor] | None  # features by stride, [B, C, h, w]; None: there are pixels


class Detector(nn.Module):
    """Base of the detectors. A subclass sets `encoder`, `transform`, `meta` ({}) and `config`: its arguments, as JSON.

    Its images are [3, h, w] each, float in 0..1 or uint8, in training sized by the caller; or cached features of images
    that are sized already, of the encoder's `prefix`, for its `from_features`.
    """

    encoder: Any
    transform: DetectorTransform
    config: dict[str, Any]
    meta: dict[str, Any]

    @property
    def has_masks(self) -> bool:
        """Whether detections have masks: `paste=False` leaves them as small as they are."""
        return bool(self.config.get("mask", False))

    @staticmethod
    def anchor_unit(short_side: int) -> float:
        """The value of an option `anchor_scale` that stands for anchors of 32, 64, ..., 512 pixels."""
        return 1.0

    def slow_parameters(self) -> list[nn.Parameter]:
        """Parameters that learn at a fraction of the learning rate: of a pretrained part that asks for it."""
        backbone: Any = getattr(self.encoder, "backbone", None)
        return list(backbone.parameters()) if getattr(backbone, "learns_slowly", False) else []

    def on_canvas(self, images: Images, targets: Targets) -> tuple[ImageList, Targets, Cached]:
        """The images padded to one canvas, the targets with them, and the features of images that are cached.

        A canvas of cached images has their size, device and number, and no pixels.
        """
        if not isinstance(images[0], CachedImage):
            batch, targets = self.transform(images, targets)
            return batch, targets, None
        cached: Any = images
        levels = stacked(cached, self.encoder.feature_strides)
        finest = self.encoder.feature_strides[0]
        height, width = (side * finest for side in levels[finest].shape[2:])
        canvas = torch.zeros((), device=levels[finest].device).expand(len(images), 3, height, width)
        return ImageList(canvas, sizes_of(images)), targets, levels

    def features(self, canvas: Tensor, architecture: Any | None, cached: Cached = None) -> list[Tensor]:
        """The encoder's features of a canvas [B, 3, H, W], or of what is cached of it; of a supernet along a path."""
        path = () if architecture is None else (architecture,)
        found: list[Tensor] = (
            self.encoder(canvas, *path) if cached is None else self.encoder.from_features(cached, *path)
        )
        return found

    def extract(self, architecture: Architecture) -> Self:
        """One path as an ordinary detector with its own weights; outputs are equal, in evaluation bitwise."""
        return copy.deepcopy(self, {id(self.encoder): self.encoder.extract(architecture)})  # the rest, around that


def sizes_of(images: Images) -> list[tuple[int, int]]:
    """(height, width) of each image as it came, pixels."""
    return [i.size if isinstance(i, CachedImage) else (i.shape[-2], i.shape[-1]) for i in images]
