"""How a tensor of a batch goes to the device: to a GPU by a copy that nobody waits for."""

from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """`tensor` on `device`; to a GPU from page-locked memory, since from any other the copy is waited for."""
    if device.type == "cuda" and not tensor.is_cuda:
        tensor = tensor if tensor.is_pinned() else tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def ready_to_send(image: T) -> T:
    """An image in page-locked memory where this process works on a GPU: what threads do beforehand nobody waits for.

    What stands where an image stands stays as it is.
    """
    if isinstance(image, Tensor) and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return image.pin_memory()  # type: ignore[return-value]
    return image
