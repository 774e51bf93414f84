"""What all detectors share: an encoder under heads, of which one path can be cut out."""

import copy
from typing import Any, Self

from torch import nn

from supernet.strides.architecture import Architecture


class Detector(nn.Module):
    """Base of the detectors. A subclass sets `encoder`, `config` (its own arguments, as JSON) and `meta` ({})."""

    encoder: Any
    config: dict[str, Any]
    meta: dict[str, Any]

    def slow_parameters(self) -> list[nn.Parameter]:
        """Parameters that learn at a fraction of the learning rate: of a pretrained part that asks for it."""
        backbone: Any = getattr(self.encoder, "backbone", None)
        return list(backbone.parameters()) if getattr(backbone, "learns_slowly", False) else []

    def extract(self, architecture: Architecture) -> Self:
        """One path as an ordinary detector with its own weights; outputs are equal, in evaluation bitwise."""
        return copy.deepcopy(self, {id(self.encoder): self.encoder.extract(architecture)})  # the rest, around that
