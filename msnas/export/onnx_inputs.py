"""The input of an ONNX file: its size by the data, and real images of that size to try it on."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from msnas.data.geometry import padded_size, resized_size, typical_input
from msnas.data.images import locate, read_rgb
from msnas.data.records import AnnotationFile, ImageRecord
from msnas.errors import DataError

TRIED = 8  # images that torch and the file are compared on
Size = tuple[int, int]  # (height, width), pixels


@dataclass(frozen=True)
class Input:
    """How a detector's images are laid on one canvas: resized by its rule, padded right and below with its colour."""

    size: Size
    sides: tuple[int, int]  # short side, long side
    colour: Sequence[float]  # RGB in 0..1, what normalises to zero

    def canvases(self, part: AnnotationFile, count: int = TRIED) -> list[Tensor]:
        """Up to `count` images of a split, evenly spaced among those that fit, as the graph takes them: [3, H, W].

        Where no image has this orientation they are turned by a quarter.
        """
        for turned in (False, True):
            sizes = [resized_size(image.height, image.width, *self.sides) for image in part.images]
            fitting = [i for i, s in zip(part.images, sizes, strict=True) if self.holds(s[::-1] if turned else s)]
            if fitting:
                return [self._canvas(part, image, turned) for image in fitting[:: -(-len(fitting) // count)]]
        raise DataError(f"No image of the split fits into an input of {self.size[0]}x{self.size[1]} pixels.")

    def holds(self, size: Size) -> bool:
        """Whether a resized image of this size fits."""
        return size[0] <= self.size[0] and size[1] <= self.size[1]

    def _canvas(self, part: AnnotationFile, image: ImageRecord, turned: bool) -> Tensor:
        height, width = resized_size(image.height, image.width, *self.sides)
        file = locate(part.files.images, image.file_name, links=part.files.reading.links)
        pixels = read_rgb(file, image.width, image.height, (height, width), part.files.reading)
        return self.laid_out((torch.from_numpy(pixels.copy()).permute(2, 0, 1) / 255).rot90(int(turned), (1, 2)))

    def laid_out(self, image: Tensor) -> Tensor:
        """A resized image [3, h, w] in 0..1 on its canvas [3, H, W]."""
        canvas = torch.tensor([*self.colour])[:, None, None].repeat(1, *self.size)
        canvas[:, : image.shape[1], : image.shape[2]] = image
        return canvas


def input_of(detector: Any, part: AnnotationFile, kind: str) -> Input:
    """The input of a kind that `OnnxOptions.files` names. Raises DataError where the split holds no image."""
    if not part.images:
        raise DataError("The ONNX file must be compared with torch on real images, but the split holds none.")
    sides = detector.config["short_side"], detector.config["long_side"]
    size = _size(part, *sides, divisor=detector.encoder.divisor, kind=kind)
    return Input(size, sides, detector.transform.image_mean)


def _size(part: AnnotationFile, short_side: int, long_side: int, *, divisor: int, kind: str) -> Size:
    if kind == "any":
        return padded_size(long_side, long_side, divisor)
    stored = [(image.height, image.width) for image in part.images]
    if kind == "common":  # portrait and landscape apart
        padded = (padded_size(*resized_size(*size, short_side, long_side), divisor) for size in stored)
        [(most, _)] = Counter(padded).most_common(1)
        return most
    height, width = typical_input(stored, short_side, long_side, divisor)
    return (width, height) if kind == "portrait" else (height, width)
