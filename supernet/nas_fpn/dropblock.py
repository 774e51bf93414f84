"""DropBlock: whole squares of a feature map are dropped while training, more of them as training goes on.

Ghiasi et al., "DropBlock: A regularization method for convolutional networks", arXiv 1810.12890, Algorithm 1,
in the form of the NAS-FPN authors' release (tensorflow/tpu). torchvision's fails on maps smaller than the
square.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, pad

from supernet.errors import SpaceError


class DropBlock(nn.Module):
    """Drops squares of `block` x `block`; a position stays with probability `keep`.

    `keep` is reached after `ramp` steps: keep(t) = 1 - min(t / ramp, 1) (1 - keep). The steps are counted in
    a buffer, as batch norm counts its batches, so that a resumed training goes on with the same schedule.
    Identity in evaluation.
    """

    seen: Tensor

    def __init__(self, keep: float = 0.9, *, block: int = 3, ramp: int = 0) -> None:
        super().__init__()
        if not 0 < keep <= 1 or block < 1 or ramp < 0:
            raise SpaceError(
                f"`0 < keep <= 1`, `block >= 1`, `ramp >= 0` must hold, but got {keep=}, {block=}, {ramp=}."
            )
        self.keep, self.block, self.ramp = keep, block, ramp
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        """x: [B, C, H, W]. Returns the same shape, rescaled by the share that was kept."""
        if not self.training:
            return x
        progress = (self.seen / self.ramp).clamp(max=1) if self.ramp else torch.ones_like(self.seen)
        self.seen += 1
        return drop_blocks(x, 1 - progress * (1 - self.keep), self.block)

    def extra_repr(self) -> str:
        """For print."""
        return f"keep={self.keep}, block={self.block}, ramp={self.ramp}"


def drop_blocks(x: Tensor, keep: Tensor, block: int) -> Tensor:
    """`x` [B, C, H, W] with squares set to zero, channel by channel, times size / kept.

    keep: scalar tensor. On a map smaller than the square, the square shrinks to the map.
    """
    height, width = x.shape[-2:]
    block = min(block, height, width)
    rows, columns = height - block + 1, width - block + 1  # where a whole square can begin
    rate = (1 - keep) / block**2 * height * width / (rows * columns)  # gamma, eq. 1
    begins = (torch.rand((*x.shape[:2], rows, columns), device=x.device) < rate).float()
    dropped = max_pool2d(pad(begins, [block - 1] * 4), block, stride=1)  # every begin fills its square, [B, C, H, W]
    mask = 1 - dropped
    return x * (mask * (mask.numel() / mask.sum().clamp(min=1))).to(x.dtype)
