"""Networks trained from scratch where no supernet shares weights ("NAS-FPN", arXiv 1904.07392, section 4.2)."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn


class FreshNetworks(nn.Module):
    """Stands where a supernet does: `extract` builds the architecture's network, with weights never trained.

    build: from an architecture to its network, on the CPU. seed: of the initial weights, the same for every
    architecture; what has the same shapes in two of them starts alike (common random numbers).
    """

    def __init__(self, build: Callable[[Any], nn.Module], *, seed: int) -> None:
        super().__init__()
        self._build, self._seed = build, seed

    def extract(self, architecture: Any, /) -> nn.Module:
        """The architecture's network, fresh."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed)
            return self._build(architecture)
