"""What the engine asks of whoever makes batches; `msnas.data.batches.Batches` is one."""

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor

Target = dict[str, Any]


class BatchSource(Protocol):
    """Gives the batch of any step, or a process's share of it; the same whenever it is asked."""

    def batch(self, step: int, /) -> tuple[Sequence[Tensor], Sequence[Target]]:
        """Images [3, h, w] and their targets, with `image_id` at least."""
