"""What a detector with a NAS-FCOS decoder costs: exact multiply-accumulates and parameters, without building it.

Convolutions only (deformable ones and their offsets included); closed form but for the backbone, which is counted on
the built module (torch is imported then). Equal to a count on the built detector, by test.
"""

from collections.abc import Sequence

from supernet.cost import Cost, conv_cost, total
from supernet.nas_fcos.decoder import (
    FCOS_HEAD,
    HEAD_OPS,
    LEVELS,
    UNARY_OPS,
    Block,
    Decoder,
    Head,
    Pyramid,
)

DEFORMABLE_GROUPS = 2
OFFSET_CHANNELS = DEFORMABLE_GROUPS * 27  # x, y and mask of nine taps


def detector_cost(
    decoder: Decoder,
    backbone: str,
    *,
    channels: int,
    head_channels: int | None = None,
    num_classes: int,
    input_size: tuple[int, int],
    width: float = 1.0,
    deformable: int = 0,
) -> Cost:
    """Backbone, `width` times as wide; pyramid of `channels`; head of `head_channels` (None: as the pyramid).

    As `FcosEncoder` builds it: without adapters that no block reads. The published counts hold that of C2.
    deformable: of FCOS's own pyramid, see `FpnNeck`.
    """
    head_channels = head_channels or channels
    encoder = encoder_cost(
        decoder.pyramid,
        backbone,
        channels=channels,
        out_channels=head_channels,
        input_size=input_size,
        width=width,
        deformable=deformable,
    )
    return encoder + head_cost(decoder.head, head_channels, num_classes, input_size)


def encoder_cost(
    pyramid: Pyramid | None,
    backbone: str,
    *,
    channels: int,
    out_channels: int | None = None,
    input_size: tuple[int, int],
    width: float = 1.0,
    deformable: int = 0,
) -> Cost:
    """Backbone and pyramid alone; out_channels: of P3..P7, None: as channels. See `detector_cost`."""
    from supernet.nas_fcos.caffe_backbone import caffe_backbone_cost  # torch

    body = caffe_backbone_cost(backbone, Decoder(pyramid).levels, input_size, width)
    read = pyramid and pyramid.without_unread_c2()
    widths = body.channels if read is None else body.channels[-read.num_inputs :]
    return body.cost + pyramid_cost(read, widths, channels, out_channels or channels, input_size, deformable=deformable)


def pyramid_cost(
    pyramid: Pyramid | None,
    in_channels: Sequence[int],
    channels: int,
    out_channels: int,
    input_size: tuple[int, int],
    *,
    deformable: int = 0,
    unread: bool = False,
) -> Cost:
    """Adapters, blocks, P6 and P7; None: FCOS's own pyramid. `in_channels`: of C2..C5 or C3..C5.

    unread: also adapters that no block reads, as the published counts have it.
    """
    if pyramid is None:
        return _fpn_cost(in_channels, out_channels, input_size, deformable)
    strides = pyramid.strides
    parts: list[Cost] = []
    read = pyramid.read
    for index, width in enumerate(in_channels):
        if unread or index in read:
            parts.append(conv_cost(width, channels, 1, _pixels(input_size, strides[index]), norm=True))
    for index, block in enumerate(pyramid.blocks):
        own = pyramid.num_inputs + index
        for source, op in ((block.first, block.first_op), (block.second, block.second_op)):
            parts.append(operation_cost(UNARY_OPS[op], channels, _pixels(input_size, strides[source])))
        emitted = out_channels if own in pyramid.unconsumed else channels
        parts.append(_aggregation(block, channels, emitted, _pixels(input_size, strides[own])))
    for stride in (64, 128):
        parts.append(conv_cost(out_channels, out_channels, 3, _pixels(input_size, stride), bias=True))
    return total(parts)


def _fpn_cost(in_channels: Sequence[int], channels: int, input_size: tuple[int, int], deformable: int) -> Cost:
    """FPN: laterals and outputs on C3..C5, P6 and P7 from P5."""
    pixels = [_pixels(input_size, 2**level) for level in LEVELS]
    laterals = [conv_cost(c, channels, 1, p, bias=True) for c, p in zip(in_channels, pixels[:3], strict=True)]
    outputs = [conv_cost(channels, channels, 3, p, bias=True) for p in pixels]
    if deformable:
        outputs[:3] = [_deformable_cost(channels, p) for p in pixels[:3] for _ in range(deformable)]
    return total([*laterals, *outputs])


def _deformable_cost(channels: int, pixels: int, *, norm: bool = False) -> Cost:
    """The convolution and the one that gives its offsets and masks."""
    offset = conv_cost(channels, OFFSET_CHANNELS, 3, pixels, bias=True)
    return offset + conv_cost(channels, channels, 3, pixels, bias=True, norm=norm)


def head_cost(head: Head | None, channels: int, num_classes: int, input_size: tuple[int, int]) -> Cost:
    """Both branches, the three predictions and the level scales; None: FCOS's own head."""
    pixels = [_pixels(input_size, 2**level) for level in LEVELS]
    plan, bias = (FCOS_HEAD, True) if head is None else (head, False)
    parts = [Cost(0, len(LEVELS))]  # one learnable scale a level
    for index, op in enumerate(plan.ops):
        copies = len(LEVELS) if index < plan.share else 1
        one = operation_cost(HEAD_OPS[op], channels, sum(pixels), conv_bias=bias)
        parts.append(Cost(2 * one.macs, 2 * copies * one.params))
    return total([*parts, conv_cost(channels, num_classes + 4 + 1, 3, sum(pixels), bias=True)])


def operation_cost(name: str, channels: int, pixels: int, *, conv_bias: bool = False) -> Cost:
    """One operation at constant width with the norm behind it (batch or group norm: the same two vectors)."""
    if name == "skip":
        return Cost(0, 0)
    size = int(name[name.index("x") - 1])
    if name.startswith("sep"):
        return conv_cost(1, channels, size, pixels) + conv_cost(channels, channels, 1, pixels, norm=True)
    if name.startswith("dconv"):
        return _deformable_cost(channels, pixels, norm=True)
    return conv_cost(channels, channels, size, pixels, bias=conv_bias, norm=True)


def _aggregation(block: Block, channels: int, out: int, pixels: int) -> Cost:
    if block.aggregation == 1:
        norm = Cost(0, 4 * channels)  # over both inputs
        return norm + conv_cost(2, out, 1, pixels)  # each group reads one channel of either input
    weights = Cost(0, 2 * channels)
    return weights + conv_cost(1, out, 1, pixels) if out != channels else weights


def _pixels(input_size: tuple[int, int], stride: int) -> int:
    height, width = input_size
    return -(-height // stride) * -(-width // stride)
