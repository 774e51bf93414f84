"""mmdetection's NAS-FCOS (configs/nas_fcos, `nas_fcos_{nashead,fcoshead}_r50_caffe_fpn_gn-head_4x4_1x`) as our FCOS.

The pyramid is the authors' without C2, which none of its blocks reads, and upsamples to the nearest inside its blocks;
distances are trained in pixels. Both are options, of `FcosEncoder` and of `FCOS`. What else differs the weights make up
for: images of BGR in 0..255, and norms of the backbone without an epsilon.
"""

import re
from typing import Any

import torch
from torch import Tensor, nn

from msnas.detectors.fcos import FCOS
from msnas.errors import ModelError
from msnas.families.toolbox_weights import State, filled, resnet_of, rows
from supernet.nas_fcos.decoder import FCOS_HEAD, HEAD_OPS, LEVELS, ORIGINAL, PUBLISHED, UNARY_OPS, Head
from supernet.nas_fcos.fcos_encoder import FcosEncoder
from supernet.nas_fcos.operations import group_norm

CELLS = ("c22_1", "c22_2", "c32", "c02", "c42", "c36", "c61")  # the published blocks, named after the two they read
GROUPS = 32  # of the head's norms
IMAGES: dict[str, Any] = {"image_mean": [123.675 / 255, 116.28 / 255, 103.53 / 255], "image_std": [1 / 255] * 3}
EPS = 1e-5  # what our norms add to a variance, and the toolbox's backbone does not
# Names of earlier versions of the toolbox, which it still reads itself, and the later ones.
RENAMED = (
    (re.compile(r"^bbox_head\.fcos_(cls|reg|centerness)\."), r"bbox_head.conv_\1."),
    (re.compile(r"(?<!\.conv)\.conv_offset\."), ".conv.conv_offset."),
)


def nas_fcos_of_toolbox(state: State) -> nn.Module | None:
    """The detector of a state dict; None where it is no NAS-FCOS. Raises ModelError."""
    if not any(name.startswith("neck.fpn.c22_1.") for name in state):
        return None
    state = _as_ours(state)
    channels = rows(state, "neck.adapt_convs.0.conv.weight")
    if getattr(group_norm(channels), "num_groups", 0) != GROUPS:
        raise ModelError(f"Norms of {GROUPS} groups need a multiple of {2 * GROUPS} channels here, but got {channels}.")
    searched = any(name.startswith("bbox_head.cls_convs.0.conv.conv_offset.") for name in state)
    head = PUBLISHED.head if searched else None
    with torch.device("meta"):  # the frame alone
        encoder = FcosEncoder(
            PUBLISHED.pyramid, backbone=resnet_of(state), channels=channels, frozen=True, upsampling="nearest"
        )
        classes = rows(state, "bbox_head.conv_cls.bias")
        detector = FCOS(encoder, num_classes=classes, head=str(head or ORIGINAL), distances_in="pixels", **IMAGES)
    convs = _head_convs(head or FCOS_HEAD)
    layers = {"encoder.backbone.body.": ["backbone."], **_pyramid(), **convs, "head.scales": ["bbox_head.scales"]}
    for ours, theirs in (("logits", "cls"), ("distances", "reg"), ("centerness", "centerness")):
        layers[f"head.{ours}."] = [f"bbox_head.conv_{theirs}."]
    return filled(detector, state, layers, zero_biases=() if searched else convs)


def _as_ours(state: State) -> dict[str, Tensor]:
    """Names of the later version, one tensor of scales, colours as RGB, variances that make up for an epsilon."""
    renamed: dict[str, Tensor] = {}
    for name, value in state.items():
        for old, new in RENAMED:
            name = old.sub(new, name)
        small = name.startswith("backbone.") and name.endswith(".running_var")
        renamed[name] = value - EPS if small else value
    first, scales = "backbone.conv1.weight", [f"bbox_head.scales.{level}.scale" for level in range(len(LEVELS))]
    if first in renamed:
        renamed[first] = renamed[first].flip(1)
    if all(name in renamed for name in scales):
        renamed["bbox_head.scales"] = torch.stack([renamed.pop(name).reshape(()) for name in scales])
    return renamed


def _pyramid() -> dict[str, list[str]]:
    """Adapters, blocks, P6 and P7."""
    layers = {f"encoder.neck.p{6 + i}.": [f"neck.extra_downsamples.{i}.conv."] for i in range(2)}
    for index in range(3):  # C3, C4, C5
        ours, theirs = f"encoder.neck.adapters.{index}.", f"neck.adapt_convs.{index}."
        layers |= {f"{ours}0.": [f"{theirs}conv."], f"{ours}1.": [f"{theirs}bn."]}
    assert PUBLISHED.pyramid is not None
    for index, (name, block) in enumerate(zip(CELLS, PUBLISHED.pyramid.blocks, strict=True)):
        ours, theirs = f"encoder.neck.blocks.{index}.", f"neck.fpn.{name}."
        layers |= {f"{ours}merge.0.": [f"{theirs}out_conv.bn."], f"{ours}merge.2.": [f"{theirs}out_conv.conv."]}
        for side, op, conv in (("first", block.first_op, "input1_conv"), ("second", block.second_op, "input2_conv")):
            layers |= _operation(UNARY_OPS[op], f"{ours}{side}.", f"{theirs}{conv}.", norm="bn")
    return layers


def _head_convs(head: Head) -> dict[str, list[str]]:
    """Both branches; a skip at the end of the published head is no layer of the toolbox's."""
    layers: dict[str, list[str]] = {}
    for ours, theirs in (("class_branch", "cls_convs"), ("box_branch", "reg_convs")):
        for index, op in enumerate(head.ops):
            place = f"head.{ours}.layers.{index}.0."
            layers |= _operation(HEAD_OPS[op], place, f"bbox_head.{theirs}.{index}.", norm="gn")
    return layers


def _operation(name: str, ours: str, theirs: str, *, norm: str) -> dict[str, list[str]]:
    """A convolution and its norm; a deformable one has its offsets inside."""
    if name == "skip":
        return {}
    layers = {f"{ours}1.": [f"{theirs}{norm}."]}
    if not name.startswith("dconv"):
        return {f"{ours}0.": [f"{theirs}conv."], **layers}
    return {f"{ours}0.conv.": [f"{theirs}conv."], f"{ours}0.offset.": [f"{theirs}conv.conv_offset."], **layers}
