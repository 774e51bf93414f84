"""What all encoders of a stride space share: how a path runs, whatever it begins from.

"Multi-scale Network Architecture Search for Object Detection", sections 3.1-3.2.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

from supernet.errors import SpaceError
from supernet.strides.architecture import NUM_GROUPS, Architecture, Stage
from supernet.strides.blocks import BLOCKS


@dataclass
class PathParts:
    """The modules of an encoder behind its start; laterals by `lateral_key`, outputs by their stride."""

    laterals: dict[str, nn.Module]
    outputs: dict[str, nn.Module]
    blocks: list[nn.Module] = field(default_factory=list)


class PathNetwork(nn.Module):
    """Lateral and output convolutions, and how a path runs through blocks; a subclass adds the start and the blocks.

    start: the stride that the first block reads, behind a prefix whose stages ended at the strides `ended`; None:
    behind a stem. A subclass calls `_add` when its start is registered.
    """

    num_groups = NUM_GROUPS
    roi_levels = (1, NUM_GROUPS)  # k of the RoIs that the groups serve, MSNAS Fig. 2b
    shared_heads = False  # every group has an RPN head of its own

    def __init__(
        self,
        block: str,
        channels: int,
        base_stride: int,
        residual_init: float,
        *,
        start: int | None = None,
        ended: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.block, self.out_channels, self.base_stride = block, channels, base_stride
        self.residual_init = residual_init
        self.divisor = 16 * base_stride
        self._start, self._ended = start, tuple(ended)

    def _add(self, parts: PathParts) -> None:
        self.laterals = nn.ModuleDict(parts.laterals)
        self.outputs = nn.ModuleDict(parts.outputs)
        self.blocks = nn.ModuleList(parts.blocks)

    def stages(self, architecture: Architecture) -> tuple[Stage, ...]:
        """The stages of a path that run: dead blocks are left out."""
        live = architecture.live(self.base_stride, start=self._start)
        return live.stages(self.base_stride, start=self._start, ended=self._ended)

    def _run(
        self, x: Tensor, architecture: Architecture, blocks: Sequence[nn.Module], prefix: Mapping[int, Tensor]
    ) -> list[Tensor]:
        """The feature of each group, from the map `x` that the first block reads.

        prefix: the features of ended stages by stride. Groups of one stride share one tensor.
        """
        ended: dict[int, Tensor] = {}  # feature stride -> x_r, the output of the last stage that ended there
        for stage in self.stages(architecture):
            for block in blocks[stage.first : stage.last + 1]:
                x = block(x)
            if (key := lateral_key(stage)) is not None:
                source = prefix[stage.stride] if stage.prefix else ended[stage.stride]
                x = x + self.laterals[key](source)  # eq. 4-6
            ended[stage.stride] = x
        features = {stride: self.outputs[str(stride)](ended[stride]) for stride in sorted(set(architecture.heads))}
        return [features[stride] for stride in architecture.heads]

    def _check_path(self, architecture: Architecture) -> None:
        """Raises SpaceError for a feature stride out of range, or a head that reads one of no block."""
        strides = sorted(set(architecture.feature_strides(self.base_stride, start=self._start)))
        if not set(architecture.heads) <= set(strides):
            raise SpaceError(
                f"Every head must read a feature stride that a block has, but {architecture} has {strides}."
            )

    def _check_size(self, batch: int, height: int, width: int, architecture: Architecture) -> None:
        """Raises SpaceError for images of a wrong size, or where batch norm would train on a single value."""
        if height % self.divisor or width % self.divisor:
            raise SpaceError(
                f"Height and width must be multiples of {self.divisor}, but got {height}x{width}; pad them."
            )
        coarsest = max(stage.stride for stage in self.stages(architecture))
        if self.training and batch * (height // coarsest) * (width // coarsest) == 1:
            raise SpaceError(
                f"Batch norm needs more than one value a channel in training, but an image of "
                f"{height}x{width} has one at stride {coarsest}; use a larger batch or larger images."
            )


def lateral_key(stage: Stage) -> str | None:
    """The name of a stage's lateral convolution: the block that it belongs to, or "s16" of a prefix's stage."""
    if stage.prefix:
        return f"s{stage.stride}"
    return None if stage.lateral is None else str(stage.lateral)


def lateral_keys(stages: Iterable[Stage]) -> list[str]:
    """The lateral convolutions of a path: those of blocks in order, then those of a prefix."""
    blocks = sorted(stage.lateral for stage in stages if stage.lateral is not None)
    return [*map(str, blocks), *(f"s{stride}" for stride in sorted(stage.stride for stage in stages if stage.prefix))]


def new_parts(
    block: str, channels: int, laterals: Iterable[str], strides: Iterable[int], prefix: Mapping[int, int] | None = None
) -> PathParts:
    """All but the blocks, with fresh weights. prefix: channels of a prefix's features by stride."""
    if block not in BLOCKS or channels < 1:
        raise SpaceError(f"An encoder has basic or bottleneck blocks and channels >= 1, but got {block=}, {channels=}.")
    width = BLOCKS[block].expansion * channels
    sources = {f"s{stride}": inputs for stride, inputs in (prefix or {}).items()}
    return PathParts(
        laterals={key: biased_conv(sources.get(key, width), width, 1) for key in laterals},
        outputs={str(stride): biased_conv(width, channels, 3) for stride in strides},
    )


def input_widths(block: str, channels: int, first: int, depth: int) -> list[int]:
    """Input channels of each block: the start's, then a block's output."""
    return [first] + [BLOCKS[block].expansion * channels] * (depth - 1)


def biased_conv(in_channels: int, out_channels: int, kernel: int) -> nn.Conv2d:
    """A convolution without norm or activation, initialised as in an FPN: variance in = variance out."""
    conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2)
    nn.init.kaiming_uniform_(conv.weight, a=1)
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
    return conv
