"""Images in: normalised, resized (at inference only), padded. Detections out: in pixels of what came."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from msnas.data.geometry import resized_size
from msnas.data.predicted_masks import pasted
from msnas.detectors.box_coding import resized

IMAGE_MEAN = (0.485, 0.456, 0.406)  # of ImageNet, RGB in 0..1, as every ResNet of timm and torchvision expects
IMAGE_STD = (0.229, 0.224, 0.225)


class DetectorTransform(GeneralizedRCNNTransform):  # type: ignore[misc]  # torchvision carries no types
    """torchvision's transform, which leaves the size of training images to the data pipeline.

    In training images are normalised and padded to multiples of `divisor`; in evaluation they are resized by
    `resized_size` first, antialiased as in the data pipeline. Boxes and masks of training targets are in
    pixels of the given images and stay as they are. mean, std: of RGB in 0..1, by default ImageNet's; they are kept as
    `image_mean` and `image_std`.
    """

    def __init__(
        self,
        *,
        short_side: int,
        long_side: int,
        divisor: int,
        mean: Sequence[float] = IMAGE_MEAN,
        std: Sequence[float] = IMAGE_STD,
    ) -> None:
        super().__init__(short_side, long_side, list(mean), list(std), size_divisible=divisor)
        self.short_side, self.long_side = short_side, long_side
        self.register_buffer("mean", _per_channel(mean), persistent=False)
        self.register_buffer("std", _per_channel(std), persistent=False)

    def normalize(self, image: Tensor) -> Tensor:
        """[3, h, w], float in 0..1 or uint8 in 0..255, to zero mean and unit variance."""
        if image.dtype == torch.uint8:
            image = image.to(self.mean.dtype) / 255
        normal: Tensor = (image - self.mean) / self.std
        return normal

    def resize(self, image: Tensor, target: dict[str, Any] | None = None) -> tuple[Tensor, dict[str, Any] | None]:
        """[3, h, w] to its size at inference; in training the same image again. Targets are not touched."""
        if self.training:
            return image, target
        height, width = image.shape[-2:]
        size = resized_size(height, width, self.short_side, self.long_side)
        if size != (height, width):
            image = F.interpolate(image[None], size=size, mode="bilinear", antialias=True)[0]
        return image, target

    def postprocess(
        self,
        result: list[dict[str, Tensor]],
        image_shapes: list[tuple[int, int]],
        sizes: list[tuple[int, int]],
        *,
        paste: bool = True,
    ) -> list[dict[str, Tensor]]:
        """Detections in pixels of images of `sizes` (height, width), from those of `image_shapes`.

        masks [n, 1, 28, 28] of boxes become [n, 1, height, width] of the image; without `paste` they stay what they
        are, and are called `box_masks`.
        """
        if self.training:
            return result
        for detections, before, size in zip(result, image_shapes, sizes, strict=True):
            detections["boxes"] = resized(detections["boxes"], before, size)
            mask = detections.pop("masks", None)
            if mask is not None and paste:
                detections["masks"] = pasted(mask, detections["boxes"], size)
            elif mask is not None:
                detections["box_masks"] = mask
        return result


def make_transform(config: Mapping[str, Any], *, divisor: int) -> DetectorTransform:
    """The transform of a detector with these options: short_side, long_side, image_mean, image_std."""
    sides = {name: config[name] for name in ("short_side", "long_side")}
    return DetectorTransform(**sides, divisor=divisor, mean=config["image_mean"], std=config["image_std"])


def _per_channel(values: Sequence[float]) -> Tensor:
    return torch.tensor([*values], device="cpu").view(3, 1, 1)  # also where the weights are only framed, on "meta"


def normalisation(
    encoder: Any, image_mean: Sequence[float] | None = None, image_std: Sequence[float] | None = None
) -> dict[str, list[float]]:
    """A detector's options `image_mean` and `image_std`: as given, else as its encoder has them, else ImageNet's."""
    mean = getattr(encoder, "image_mean", IMAGE_MEAN) if image_mean is None else image_mean
    std = getattr(encoder, "image_std", IMAGE_STD) if image_std is None else image_std
    return {"image_mean": [*mean], "image_std": [*std]}
