"""A picture with what a detector found on it: boxes, masks, class names and scores."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.utils import draw_bounding_boxes, draw_segmentation_masks

_COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#008080", "#9a6324", "#808000", "#f032e6")


def draw_detections(pixels: NDArray[np.uint8], found: dict[str, Tensor], classes: list[str]) -> NDArray[np.uint8]:
    """The picture [h, w, 3] with boxes (and masks), each with its class and score; the worst are drawn first."""
    picture = torch.from_numpy(pixels.copy()).permute(2, 0, 1)
    labels = [int(label) - 1 for label in found["labels"].flip(0)]
    if labels:
        colours = [_COLOURS[label % len(_COLOURS)] for label in labels]
        if "masks" in found:
            picture = draw_segmentation_masks(picture, found["masks"].flip(0)[:, 0] > 0.5, alpha=0.4, colors=colours)
        scores = found["scores"].flip(0).tolist()
        names = [f"{classes[label]} {score:.2f}" for label, score in zip(labels, scores, strict=True)]
        width = max(1, min(picture.shape[-2:]) // 250)
        boxes = found["boxes"].flip(0)
        picture = draw_bounding_boxes(
            picture, boxes, names, colors=colours, width=width, fill_labels=True, label_colors="white"
        )
    drawn: NDArray[np.uint8] = picture.permute(1, 2, 0).numpy()
    return drawn
