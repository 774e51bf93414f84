"""Predicted masks, which come as 28x28 probabilities of their boxes: on a whole image, or as run lengths of it.

The run lengths are those of pasting each mask on the resized image, resizing that to the original size (bilinear,
torch's coordinates), cutting it at 0.5 and encoding it alone; but only what lies around its box is computed.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from torch import Tensor
from torch.nn.functional import interpolate, pad
from torchvision.models.detection.roi_heads import expand_boxes, expand_masks

Size = tuple[int, int]  # height, width; pixels


class Piece(NamedTuple):
    """A part of an image: `pixels` [h, w] from row `top` and column `left` on; elsewhere the image is 0."""

    pixels: Tensor
    top: int
    left: int


class _Axis(NamedTuple):
    """Where each pixel of a resized side lies between two pixels of the given one."""

    given: int
    wanted: int
    before: Tensor  # [wanted] int64
    after: Tensor  # [wanted] int64
    share: Tensor  # [wanted] of `after`

    def reached(self, begin: int, end: int) -> tuple[int, int]:
        """First and one past the last of the resized pixels that read one of the given pixels `begin` to `end`."""
        first = max(0, math.floor((begin - 0.5) * self.wanted / self.given - 0.5))
        last = math.ceil((end + 0.5) * self.wanted / self.given - 0.5) + 1
        return min(first, self.wanted - 1), min(max(last, first + 1), self.wanted)

    def read(self, first: int, last: int) -> tuple[int, int]:
        """First and one past the last of the given pixels that the resized pixels `first` to `last` read, with room."""
        scale = self.given / self.wanted
        return math.floor((first + 0.5) * scale - 0.5) - 1, math.floor((last - 0.5) * scale - 0.5) + 3


def pasted(masks: Tensor, boxes: Tensor, size: Size) -> Tensor:
    """torchvision's `paste_masks_in_image`, [n, 1, height, width]: one canvas for all masks, one look at the boxes.

    masks: [n, 1, 28, 28]; boxes: [n, 4] xyxy, pixels of the image of `size`.
    """
    canvas = masks.new_zeros(len(masks), 1, *size)
    for number, (pixels, top, left) in enumerate(pieces(masks, boxes, size)):
        canvas[number, 0, top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return canvas


def pieces(masks: Tensor, boxes: Tensor, size: Size) -> list[Piece]:
    """Each mask on those pixels of its box that lie in the image, as torchvision pastes it; arguments as `pasted`."""
    masks, scale = expand_masks(masks, padding=1)
    found = []
    for mask, (left, top, right, bottom) in zip(masks, expand_boxes(boxes, scale).long().tolist(), strict=True):
        shape = (max(bottom - top + 1, 1), max(right - left + 1, 1))
        whole = interpolate(mask[None], shape, mode="bilinear", align_corners=False)[0, 0]
        y, x = max(top, 0), max(left, 0)
        found.append(Piece(whole[y - top : size[0] - top, x - left : size[1] - left], y, x))
    return found


def run_lengths(masks: Tensor, boxes: Tensor, canvas: Size, size: Size) -> list[dict[str, Any]]:
    """Each of `masks` [n, 1, 28, 28] as compressed RLE of an image of `size`, that JSON can hold.

    boxes: [n, 4] xyxy, pixels of the resized image, which has the size `canvas`. Boxes and bits go to the host once.
    """
    if not len(masks):
        return []
    rows, columns = (_axis(given, wanted, masks.device) for given, wanted in zip(canvas, size, strict=True))
    cut = [_resized(piece, rows, columns) for piece in pieces(masks.float(), boxes, canvas)]
    bits = torch.cat([(piece.pixels > 0.5).t().reshape(-1) for piece in cut]).cpu().numpy()
    parts = np.split(bits, np.cumsum([piece.pixels.numel() for piece in cut])[:-1])
    runs = [
        {"size": list(size), "counts": _runs(part.reshape(piece.pixels.shape[::-1]), piece.top, piece.left, size)}
        for part, piece in zip(parts, cut, strict=True)
    ]
    packed = coco_mask.frPyObjects(runs, *size)
    return [{"size": list(size), "counts": one["counts"].decode("ascii")} for one in packed]


def _axis(given: int, wanted: int, device: torch.device) -> _Axis:
    """The coordinates of `interpolate(mode="bilinear", align_corners=False)` along one side."""
    scale = torch.tensor(given, dtype=torch.float32) / wanted
    place = ((torch.arange(wanted) + 0.5) * scale - 0.5).clamp(min=0)
    before = place.long().clamp(max=given - 1)
    after = (before + 1).clamp(max=given - 1)
    return _Axis(given, wanted, before.to(device), after.to(device), (place - before).to(device))


def _resized(piece: Piece, rows: _Axis, columns: _Axis) -> Piece:
    """What an image that is `piece` alone becomes, where that may be more than 0; summed in torch's order."""
    (height, width), top, left = piece.pixels.shape, piece.top, piece.left
    y, y_end = rows.reached(top, top + height)
    x, x_end = columns.reached(left, left + width)
    (above, below), (before, behind) = rows.read(y, y_end), columns.read(x, x_end)
    around = pad(piece.pixels, (left - before, behind - left - width, top - above, below - top - height))
    share = columns.share[x:x_end]
    lines = around[:, columns.before[x:x_end] - before] * (1 - share)
    lines += around[:, columns.after[x:x_end] - before] * share
    share = rows.share[y:y_end, None]
    upper, lower = lines[rows.before[y:y_end] - above], lines[rows.after[y:y_end] - above]
    return Piece(upper * (1 - share) + lower * share, y, x)


def _runs(bits: NDArray[np.bool_], top: int, left: int, size: Size) -> Sequence[int]:
    """Run lengths, zeros first, of a whole image of `size` that is 0 but for `bits` [columns, rows] at (top, left)."""
    steps = np.diff(np.pad(bits.view(np.int8), ((0, 0), (1, 1))), axis=1)  # 1 where ones begin, -1 behind them
    begin, end = ((left + column) * size[0] + top + row for column, row in (np.nonzero(steps == s) for s in (1, -1)))
    apart = begin[1:] != end[:-1]  # a column that ends in ones may go on in the next
    begin, end = begin[np.append(True, apart)[: len(begin)]], end[np.append(apart, True)[: len(end)]]
    bounds = np.concatenate([[0], np.stack([begin, end], axis=1).ravel(), [size[0] * size[1]]])
    runs: list[int] = np.diff(bounds).tolist()
    return runs if runs[-1] or len(runs) == 1 else runs[:-1]
