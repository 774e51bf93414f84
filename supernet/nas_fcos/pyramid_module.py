"""The pyramid of a NAS-FCOS decoder as a module: adapters, basic blocks, outputs P3..P7.

arXiv 1906.04423, section 3.2.1; which block feeds which level, and the learnable weights of a sum, as in the released
code.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, relu

from supernet.nas_fcos.decoder import UNARY_OPS, Block, Pyramid
from supernet.nas_fcos.operations import DeformableConv, operation


class PyramidModule(nn.Module):
    """An ordinary module for one pyramid; `in_channels` of the backbone's features, finest first.

    `out_channels` wider than `channels` gives the published "@128-256": the blocks that are collected into the outputs
    widen in their aggregation, where a grouped 1x1 makes that nearly free. upsampling: inside the blocks, "bilinear" as
    the authors, or "nearest" as mmdetection; the outputs are resized bilinearly by both. unread: adapters that no block
    reads are built and run, too, as in the published counts.
    """

    def __init__(
        self,
        pyramid: Pyramid,
        *,
        channels: int,
        in_channels: Sequence[int],
        out_channels: int | None = None,
        upsampling: str = "bilinear",
        unread: bool = False,
    ) -> None:
        super().__init__()
        assert len(in_channels) == pyramid.num_inputs
        self.pyramid = pyramid
        self.num_inputs = pyramid.num_inputs
        self.out_channels = out_channels or channels
        assert self.out_channels % channels == 0, "the grouped 1x1 has one group a channel"
        read = pyramid.read
        self.adapters = nn.ModuleList(  # the place of one that nothing reads is kept, so that names are those of inputs
            _adapter(width, channels) if unread or i in read else nn.Identity() for i, width in enumerate(in_channels)
        )
        self.register_load_state_dict_pre_hook(_drop_unread)  # type: ignore[no-untyped-call]
        ids = range(pyramid.num_inputs, pyramid.num_inputs + len(pyramid.blocks))
        widths = [self.out_channels if i in pyramid.unconsumed else channels for i in ids]
        self.blocks = nn.ModuleList(
            BasicBlock(block, channels, width, upsampling) for block, width in zip(pyramid.blocks, widths, strict=True)
        )
        self.p6 = nn.Conv2d(self.out_channels, self.out_channels, 3, stride=2, padding=1)
        self.p7 = nn.Conv2d(self.out_channels, self.out_channels, 3, stride=2, padding=1)
        for conv in (self.p6, self.p7):
            nn.init.kaiming_uniform_(conv.weight, a=1)
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """features: up to C5, each [B, C_i, H/2^i, W/2^i]; the last `num_inputs` are read.

        Returns P3..P7, each [B, out_channels, ., .].
        """
        features = features[-self.num_inputs :]
        pool = [adapter(feature) for adapter, feature in zip(self.adapters, features, strict=True)]
        for block, plan in zip(self.blocks, self.pyramid.blocks, strict=True):
            pool.append(block(pool[plan.first], pool[plan.second]))
        sizes = [feature.shape[-2:] for feature in features[-3:]]
        p3, p4, p5 = (self._output(level, pool, size) for level, size in zip((3, 4, 5), sizes, strict=True))
        p6 = self.p6(p5)
        return [p3, p4, p5, p6, self.p7(relu(p6))]

    def _output(self, level: int, pool: list[Tensor], size: Sequence[int]) -> Tensor:
        merged = pool[self.pyramid.outputs[level]]
        for source in self.pyramid.dangling:
            merged = torch.add(*_to_finer(merged, pool[source]))  # eq. 1
        return _resize(merged, size)


class BasicBlock(nn.Module):
    """Two operations, merged by a weighted sum or by concatenation and a grouped 1x1 convolution."""

    def __init__(self, block: Block, channels: int, out_channels: int, upsampling: str) -> None:
        super().__init__()
        self.upsampling = upsampling
        self.first = operation(UNARY_OPS[block.first_op], channels, nn.BatchNorm2d)
        self.second = operation(UNARY_OPS[block.second_op], channels, nn.BatchNorm2d)
        merge = WeightedSum if block.aggregation == 0 else GroupedConcat
        self.merge = merge(channels, out_channels)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """a, b: [B, C, ., .]. Returns [B, out_channels, H, W] at the finer of the two resolutions."""
        return self.merge(*_to_finer(self.first(a), self.second(b), self.upsampling))  # type: ignore[no-any-return]


class WeightedSum(nn.Module):
    """a * x + b * y with a learnable weight per channel (the paper writes a plain sum; both weights start at 1)."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.ones(2, channels, 1, 1))
        same = channels == out_channels
        self.widen = nn.Identity() if same else nn.Conv2d(channels, out_channels, 1, groups=channels, bias=False)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """x, y: [B, C, H, W]. Returns [B, out_channels, H, W]."""
        return self.widen(self.weights[0] * x + self.weights[1] * y)  # type: ignore[no-any-return]


class GroupedConcat(nn.Sequential):
    """Concatenation, batch norm, ReLU, and a 1x1 convolution with one group for each channel of an input."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__(
            nn.BatchNorm2d(2 * channels),
            nn.ReLU(),
            nn.Conv2d(2 * channels, out_channels, 1, groups=channels, bias=False),
        )

    def forward(self, x: Tensor, y: Tensor) -> Tensor:  # type: ignore[override]
        """x, y: [B, C, H, W]. Returns [B, out_channels, H, W]."""
        return super().forward(torch.cat((x, y), dim=1))  # type: ignore[no-any-return, no-untyped-call]


class FpnNeck(nn.Module):
    """The feature pyramid that FCOS and RetinaNet come with: 1x1 laterals, 3x3 outputs, P6 and P7 from P5.

    deformable: so many deformable 3x3 in a row, bare as FPN's own, in the place of each output's 3x3; P6 and P7 keep
    their strided ones ("DeformFPN-FCOS" of section 4.3.3 has two).
    """

    def __init__(self, in_channels: Sequence[int], channels: int = 256, *, deformable: int = 0) -> None:
        super().__init__()
        self.num_inputs = len(in_channels)
        self.out_channels = channels
        self.laterals = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in in_channels)
        self.outputs = nn.ModuleList(_output(channels, deformable) for _ in in_channels)
        self.p6 = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        self.p7 = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        # Bare, deformable ones start as FPN's own: torch's default would make P3..P5 a tenth as large.
        bare = [part.conv for part in self.outputs.modules() if isinstance(part, DeformableConv)]
        for conv in (*self.laterals, *(bare or self.outputs), self.p6, self.p7):
            nn.init.kaiming_uniform_(conv.weight, a=1)
            nn.init.zeros_(conv.bias)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """features: up to C5, each [B, C_i, ., .]; C3..C5 are read. Returns P3..P7, each [B, channels, ., .]."""
        features = features[-self.num_inputs :]
        lateral = [conv(feature) for conv, feature in zip(self.laterals, features, strict=True)]
        merged = [lateral[-1]]
        for finer in reversed(lateral[:-1]):
            merged.insert(0, finer + interpolate(merged[0], size=finer.shape[-2:], mode="nearest"))
        outputs = [conv(feature) for conv, feature in zip(self.outputs, merged, strict=True)]
        p6 = self.p6(outputs[-1])
        return [*outputs, p6, self.p7(relu(p6))]


def _output(channels: int, deformable: int) -> nn.Module:
    if deformable:
        return nn.Sequential(*(DeformableConv(channels) for _ in range(deformable)))
    return nn.Conv2d(channels, channels, 3, padding=1)


def _adapter(in_channels: int, channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, channels, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU())


def _drop_unread(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Leave out weights of adapters that nothing reads, which were built once."""
    assert isinstance(module, PyramidModule)
    for i, adapter in enumerate(module.adapters):
        if isinstance(adapter, nn.Identity):
            for name in [name for name in state if name.startswith(f"{prefix}adapters.{i}.")]:
                del state[name]


def _to_finer(a: Tensor, b: Tensor, mode: str = "bilinear") -> tuple[Tensor, Tensor]:
    """Both at the resolution of the finer one."""
    size = max(a.shape[-2:], b.shape[-2:])
    return _resize(a, size, mode), _resize(b, size, mode)


def _resize(x: Tensor, size: Sequence[int], mode: str = "bilinear") -> Tensor:
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return interpolate(x, size=tuple(size), mode=mode)
