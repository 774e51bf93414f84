"""The MSNAS encoder: all paths in one weight-sharing network, or one path alone as an ordinary network.

"Multi-scale Network Architecture Search for Object Detection", sections 3.1-3.2. `MixedEncoder` takes the
architecture with every call; `PathEncoder` is built for one architecture and knows nothing of a search. Both
read it through the same lines, `_StrideEncoder._encode`.
"""

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from supernet.cost import STEM_CHANNELS
from supernet.errors import SpaceError
from supernet.strides.architecture import BLOCK_STRIDES, NUM_GROUPS, Architecture, stride_levels
from supernet.strides.blocks import BLOCKS, MixedBlock, Stem
from supernet.strides.residuals import init_residuals


class _StrideEncoder(nn.Module):
    """Stem, lateral and output convolutions, and how a path runs through them; a subclass adds the blocks."""

    num_groups = NUM_GROUPS
    roi_levels = (1, NUM_GROUPS)  # k of the RoIs that the groups serve, msnas.md section 1
    shared_heads = False  # every group has an RPN head of its own

    def __init__(self, block: str, channels: int, base_stride: int, residual_init: float, parts: "_Parts") -> None:
        super().__init__()
        self.block, self.out_channels, self.base_stride = block, channels, base_stride
        self.residual_init = residual_init
        self.divisor = 16 * base_stride
        self.stem = parts.stem
        self.laterals = nn.ModuleDict(parts.laterals)
        self.outputs = nn.ModuleDict(parts.outputs)
        self.blocks = nn.ModuleList(parts.blocks)

    def _encode(self, images: Tensor, architecture: Architecture, blocks: Sequence[nn.Module]) -> list[Tensor]:
        """The feature of each group for `images` [B, 3, H, W], groups of one stride sharing one tensor.

        Dead blocks do not run. Returns [B, C, H / heads[i], W / heads[i]] for every group i. Raises SpaceError where H
        or W is no multiple of `divisor`, or where batch norm would train on a single value.
        """
        architecture = architecture.live(self.base_stride)
        self._check_size(images, architecture)
        x = self.stem(images)
        ended: dict[int, Tensor] = {}  # feature stride -> x_r, the output of the last stage that ended there
        for stage in architecture.stages(self.base_stride):
            for block in blocks[stage.first : stage.last + 1]:
                x = block(x)
            if stage.lateral is not None:
                x = x + self.laterals[str(stage.lateral)](ended[stage.stride])  # eq. 4-6
            ended[stage.stride] = x
        features = {stride: self.outputs[str(stride)](ended[stride]) for stride in sorted(set(architecture.heads))}
        return [features[stride] for stride in architecture.heads]

    def _check_path(self, architecture: Architecture) -> None:
        """Raises SpaceError for a feature stride out of range, or a head that reads one of no block."""
        strides = sorted(set(architecture.feature_strides(self.base_stride)))
        if not set(architecture.heads) <= set(strides):
            raise SpaceError(
                f"Every head must read a feature stride that a block has, but {architecture} has {strides}."
            )

    def _check_size(self, images: Tensor, architecture: Architecture) -> None:
        batch, _, height, width = images.shape
        if height % self.divisor or width % self.divisor:
            raise SpaceError(
                f"Height and width must be multiples of {self.divisor}, but got {height}x{width}; pad them."
            )
        coarsest = max(architecture.feature_strides(self.base_stride))
        if self.training and batch * (height // coarsest) * (width // coarsest) == 1:
            raise SpaceError(
                f"Batch norm needs more than one value a channel in training, but an image of "
                f"{height}x{width} has one at stride {coarsest}; use a larger batch or larger images."
            )


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
        parts: "_Parts | None" = None,
    ) -> None:
        architecture = Architecture.parse(architecture) if isinstance(architecture, str) else architecture
        is_new = parts is None
        if parts is None:
            live = architecture.live(base_stride)
            parts = _new_parts(block, channels, base_stride, stem, *_parts_of(live, base_stride))
            widths = _input_widths(block, channels, stem, len(live.strides))
            parts.blocks = [
                BLOCKS[block](width, channels, stride) for width, stride in zip(widths, live.strides, strict=True)
            ]
        super().__init__(block, channels, base_stride, residual_init, parts)
        if is_new:
            init_residuals(self, residual_init)
        self._check_path(architecture)
        self.architecture = architecture

    def forward(self, images: Tensor) -> list[Tensor]:
        """[B, 3, H, W] to one feature a group; see `_encode`."""
        return self._encode(images, self.architecture, list(self.blocks))

    @property
    def config(self) -> dict[str, Any]:
        """What the constructor needs to build this encoder again, as JSON."""
        return {"architecture": str(self.architecture), **_shape_of(self)}


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
        parts = _new_parts(block, channels, base_stride, stem, range(depth - 1), stride_levels(base_stride))
        parts.blocks = [
            MixedBlock(block, width, channels, BLOCK_STRIDES[1:] if index == 0 else BLOCK_STRIDES)
            for index, width in enumerate(_input_widths(block, channels, stem, depth))
        ]
        super().__init__(block, channels, base_stride, residual_init, parts)
        init_residuals(self, residual_init)
        self.depth = depth

    def forward(self, images: Tensor, architecture: Architecture) -> list[Tensor]:
        """[B, 3, H, W] to one feature a group along the path of `architecture`; see `_encode`."""
        return self._encode(images, architecture, self._path(architecture))

    def extract(self, architecture: Architecture) -> PathEncoder:
        """One path with weights of its own; equal outputs, bitwise on a CPU in evaluation."""
        live = architecture.live(self.base_stride)
        laterals, strides = _parts_of(live, self.base_stride)
        shared = _Parts(
            stem=self.stem,
            laterals={str(index): self.laterals[str(index)] for index in laterals},
            outputs={str(stride): self.outputs[str(stride)] for stride in strides},
            blocks=self._path(architecture)[: len(live.strides)],
        )
        path = PathEncoder(architecture, **_shape_of(self), parts=copy.deepcopy(shared))
        return path.train(self.training)

    @property
    def config(self) -> dict[str, Any]:
        """What the constructor needs to build this encoder again, as JSON."""
        return {"depth": self.depth, **_shape_of(self)}

    def _path(self, architecture: Architecture) -> list[nn.Module]:
        self._check_path(architecture)
        if len(architecture.strides) != self.depth:
            raise SpaceError(
                f"This supernet has {self.depth} blocks, but {architecture} has {len(architecture.strides)}."
            )
        mixed: list[MixedBlock] = list(self.blocks)  # type: ignore[arg-type]
        return [block.branch(stride) for block, stride in zip(mixed, architecture.strides, strict=True)]


@dataclass
class _Parts:
    """The modules of an encoder; laterals by the block they follow, outputs by their stride."""

    stem: Stem
    laterals: dict[str, nn.Module]
    outputs: dict[str, nn.Module]
    blocks: list[nn.Module] = field(default_factory=list)


def _new_parts(
    block: str, channels: int, base_stride: int, stem: int, laterals: Iterable[int], strides: Iterable[int]
) -> _Parts:
    """All but the blocks, with fresh weights."""
    if block not in BLOCKS or base_stride not in (2, 4) or min(channels, stem) < 1:
        raise SpaceError(
            f"An encoder has basic or bottleneck blocks, channels >= 1, stem >= 1 and base_stride 2 or 4, "
            f"but got {block=}, {channels=}, {stem=}, {base_stride=}."
        )
    width = BLOCKS[block].expansion * channels
    return _Parts(
        stem=Stem(base_stride, stem),
        laterals={str(index): _biased_conv(width, width, 1) for index in laterals},
        outputs={str(stride): _biased_conv(width, channels, 3) for stride in strides},
    )


def _parts_of(architecture: Architecture, base_stride: int) -> tuple[list[int], list[int]]:
    """The blocks that a lateral convolution follows, and the strides that the heads read."""
    stages = architecture.stages(base_stride)
    return sorted({s.lateral for s in stages if s.lateral is not None}), sorted(set(architecture.heads))


def _input_widths(block: str, channels: int, stem: int, depth: int) -> list[int]:
    """Input channels of each block: the stem's, then a block's output."""
    return [stem] + [BLOCKS[block].expansion * channels] * (depth - 1)


def _shape_of(encoder: _StrideEncoder) -> dict[str, Any]:
    return {
        "block": encoder.block,
        "channels": encoder.out_channels,
        "base_stride": encoder.base_stride,
        "stem": encoder.stem.out_channels,
        "residual_init": encoder.residual_init,
    }


def _biased_conv(in_channels: int, out_channels: int, kernel: int) -> nn.Conv2d:
    """A convolution without norm or activation, initialised as in an FPN: variance in = variance out."""
    conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2)
    nn.init.kaiming_uniform_(conv.weight, a=1)
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
    return conv
