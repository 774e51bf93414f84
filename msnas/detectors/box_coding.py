"""torchvision's coding of boxes without numbers that are copied to a GPU: at each, it would be waited for."""

import torch
from torch import Tensor
from torchvision.models.detection._utils import BoxCoder, encode_boxes

Size = tuple[int, int]  # (height, width), pixels


class WaitlessBoxCoder(BoxCoder):  # type: ignore[misc]  # torchvision carries no types
    """The same deltas and boxes as torchvision's `BoxCoder`, bit for bit."""

    def encode_single(self, reference_boxes: Tensor, proposals: Tensor) -> Tensor:
        """[N, 4] deltas from `proposals` to `reference_boxes`, both [N, 4] xyxy."""
        weights = torch.tensor(self.weights, dtype=reference_boxes.dtype, device="cpu")  # single numbers may stay there
        deltas: Tensor = encode_boxes(reference_boxes, proposals, weights)
        return deltas

    def decode_single(self, rel_codes: Tensor, boxes: Tensor) -> Tensor:
        """[N, 4 * K] boxes xyxy, from deltas [N, 4 * K] of `boxes` [N, 4] xyxy."""
        boxes = boxes.to(rel_codes.dtype)
        widths, heights = boxes[:, 2:3] - boxes[:, 0:1], boxes[:, 3:4] - boxes[:, 1:2]
        x, y = boxes[:, 0:1] + 0.5 * widths, boxes[:, 1:2] + 0.5 * heights
        dx, dy, dw, dh = (rel_codes[:, i::4] / weight for i, weight in enumerate(self.weights))
        x, y = dx * widths + x, dy * heights + y
        half_width = 0.5 * (dw.clamp(max=self.bbox_xform_clip).exp() * widths)
        half_height = 0.5 * (dh.clamp(max=self.bbox_xform_clip).exp() * heights)
        corners = (x - half_width, y - half_height, x + half_width, y + half_height)
        return torch.stack(corners, dim=2).flatten(1)


def resized(boxes: Tensor, before: Size, after: Size) -> Tensor:
    """Boxes [N, 4] xyxy of an image of the size `before`, in pixels of the same image of the size `after`."""
    down, across = (new / old for new, old in zip(after, before, strict=True))
    left, top, right, bottom = boxes.unbind(1)
    return torch.stack([left * across, top * down, right * across, bottom * down], dim=1)
