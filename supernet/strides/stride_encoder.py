"""The MSNAS encoder: all paths in one weight-sharing network, or one path alone as an ordinary network.

"Multi-scale Network Architecture Search for Object Detection", sections 3.1-3.2. `MixedEncoder` takes the
architecture with every call; `PathEncoder` is built for one architecture and knows nothing of a search. Both
read it through the same lines, `PathNetwork._run`.
"""

import copy
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from supernet.errors import SpaceError
from supernet.strides.architecture import BLOCK_STRIDES, Architecture, stride_levels
from supernet.strides.blocks import BLOCKS, MixedBlock, Stem
from supernet.strides.first_stage_cost import STEM_CHANNELS
from supernet.strides.path_network import PathNetwork, PathParts, input_widths, lateral_keys, new_parts
from supernet.strides.residuals import init_residuals


class _StrideEncoder(PathNetwork):
    """A path network behind a stem."""

    def __init__(
        self, block: str, channels: int, base_stride: int, residual_init: float, stem: Stem, parts: PathParts
    ) -> None:
        super().__init__(block, channels, base_stride, residual_init)
        self.stem = stem
        self._add(parts)

    def _encode(self, images: Tensor, architecture: Architecture, blocks: Sequence[nn.Module]) -> list[Tensor]:
        """The feature of each group for `images` [B, 3, H, W], groups of one stride sharing one tensor.

        Dead blocks do not run. Returns [B, C, H / heads[i], W / heads[i]] for every group i. Raises SpaceError where H
        or W is no multiple of `divisor`, or where batch norm would train on a single value.
        """
        self._check_size(images.shape[0], images.shape[2], images.shape[3], architecture)
        return self._run(self.stem(images), architecture, blocks, {})

    @property
    def _shape(self) -> dict[str, Any]:
        return {
            "block": self.block,
            "channels": self.out_channels,
            "base_stride": self.base_stride,
            "stem": self.stem.out_channels,
            "residual_init": self.residual_init,
        }


class PathEncoder(_StrideEncoder):
    """One architecture as an ordinary network, with new weights or around the `parts` of a trained one.

    Dead blocks, and the laterals of their stages, are not built. stem: its channels. residual_init: what the last norm
    of every block starts at; at 0 a block starts as its shortcut.
    """

    def __init__(
        self,
        architecture: Architecture | str,
        *,
        block: str,
        channels: int,
        base_stride: int = 4,
        stem: int = STEM_CHANNELS,
        residual_init: float = 0.0,
        parts: tuple[Stem, PathParts] | None = None,
    ) -> None:
        architecture = Architecture.parse(architecture) if isinstance(architecture, str) else architecture
        first, rest = parts or _new_path(architecture.live(base_stride), block, channels, base_stride, stem)
        super().__init__(block, channels, base_stride, residual_init, first, rest)
        if parts is None:
            init_residuals(self, residual_init)
        self._check_path(architecture)
        self.architecture = architecture

    def forward(self, images: Tensor) -> list[Tensor]:
        """[B, 3, H, W] to one feature a group; see `_encode`."""
        return self._encode(images, self.architecture, list(self.blocks))

    @property
    def config(self) -> dict[str, Any]:
        """What the constructor needs to build this encoder again, as JSON."""
        return {"architecture": str(self.architecture), **self._shape}


class MixedEncoder(_StrideEncoder):
    """Every path of a space in one network: three branches a block, a lateral convolution behind it.

    A call trains or evaluates the one path it is given; parameters of all the others keep `grad is None`. stem and
    residual_init: as for `PathEncoder`.
    """

    def __init__(
        self,
        *,
        block: str,
        depth: int,
        channels: int,
        base_stride: int = 4,
        stem: int = STEM_CHANNELS,
        residual_init: float = 0.0,
    ) -> None:
        first = _new_stem(base_stride, stem)
        parts = new_parts(block, channels, map(str, range(depth - 1)), stride_levels(base_stride))
        parts.blocks = [
            MixedBlock(block, width, channels, BLOCK_STRIDES[1:] if index == 0 else BLOCK_STRIDES)
            for index, width in enumerate(input_widths(block, channels, stem, depth))
        ]
        super().__init__(block, channels, base_stride, residual_init, first, parts)
        init_residuals(self, residual_init)
        self.depth = depth

    def forward(self, images: Tensor, architecture: Architecture) -> list[Tensor]:
        """[B, 3, H, W] to one feature a group along the path of `architecture`; see `_encode`."""
        return self._encode(images, architecture, branches_of(self, architecture, self.depth))

    def extract(self, architecture: Architecture) -> PathEncoder:
        """One path with weights of its own; equal outputs, bitwise on a CPU in evaluation."""
        parts = (self.stem, parts_of(self, architecture, self.depth))
        path = PathEncoder(architecture, **self._shape, parts=copy.deepcopy(parts))
        return path.train(self.training)

    @property
    def config(self) -> dict[str, Any]:
        """What the constructor needs to build this encoder again, as JSON."""
        return {"depth": self.depth, **self._shape}


def branches_of(supernet: PathNetwork, architecture: Architecture, depth: int) -> list[nn.Module]:
    """The branch of each mixed block that a path takes. Raises SpaceError where the path is not in `supernet`."""
    supernet._check_path(architecture)
    if len(architecture.strides) != depth:
        raise SpaceError(f"This supernet has {depth} blocks, but {architecture} has {len(architecture.strides)}.")
    mixed: list[MixedBlock] = list(supernet.blocks)  # type: ignore[arg-type]
    return [block.branch(stride) for block, stride in zip(mixed, architecture.strides, strict=True)]


def parts_of(supernet: PathNetwork, architecture: Architecture, depth: int) -> PathParts:
    """The modules of a supernet that a path runs through, behind its start."""
    stages = supernet.stages(architecture)
    return PathParts(
        laterals={key: supernet.laterals[key] for key in lateral_keys(stages)},
        outputs={str(stride): supernet.outputs[str(stride)] for stride in sorted(set(architecture.heads))},
        blocks=branches_of(supernet, architecture, depth)[: stages[-1].last + 1],
    )


def _new_path(live: Architecture, block: str, channels: int, base_stride: int, stem: int) -> tuple[Stem, PathParts]:
    """A stem and the parts of a path that has no dead blocks, with fresh weights."""
    first = _new_stem(base_stride, stem)
    parts = new_parts(block, channels, lateral_keys(live.stages(base_stride)), sorted(set(live.heads)))
    widths = input_widths(block, channels, stem, len(live.strides))
    parts.blocks = [BLOCKS[block](width, channels, stride) for width, stride in zip(widths, live.strides, strict=True)]
    return first, parts


def _new_stem(base_stride: int, channels: int) -> Stem:
    if base_stride not in (2, 4) or channels < 1:
        raise SpaceError(f"An encoder has base_stride 2 or 4 and stem >= 1, but got {base_stride=}, stem={channels}.")
    return Stem(base_stride, channels)
