"""mmdetection's NAS-FPN (configs/nas_fpn, `retinanet_r50_nasfpn_crop640_50e`) as a RetinaNet of ours.

It is not the authors' network: gp cells carry the finer input and weight the coarser one by the sigmoid of the finer's
average, and a 1x1 with a norm comes before each pooling that makes C6 and C7. Both are options of `NasFpnEncoder`.
"""

from typing import Any

import torch
from torch import nn

from msnas.detectors.retinanet import RetinaNet
from msnas.families.toolbox_weights import State, filled, indices, resnet_of, rows
from supernet.nas_fpn.plan_cost import ANCHORS, HEAD_DEPTH
from supernet.nas_fpn.plan_encoder import NasFpnEncoder
from supernet.nas_fpn.pyramid_plan import DISCOVERED

# The toolbox's cells that have a convolution, in the order of ours: its two nested gp cells are inputs of a sum.
CELLS = ("gp_64_4", "sum_44_4", "sum_43_3", "sum_34_4", "sum_55_5", "sum_77_7", "gp_75_6")
SIDE = 640  # pixels
PROJECTION = (("0.", "conv."), ("1.", "bn."))  # its parts, ours and theirs
# Norms are torch's own, anchors are not rounded.
AS_TRAINED: dict[str, Any] = {"batch_norm_momentum": 0.1, "batch_norm_eps": 1e-5, "round_anchors": False}


def nas_fpn_of_toolbox(state: State) -> nn.Module | None:
    """The detector of a state dict; None where it is no NAS-FPN. Raises ModelError."""
    stacks = indices(state, r"neck\.fpn_stages\.(\d+)\.")
    if not stacks:
        return None
    channels = rows(state, "neck.lateral_convs.0.conv.weight")
    classes = rows(state, "bbox_head.retina_cls.bias") // ANCHORS
    shape: dict[str, Any] = {"backbone": resnet_of(state), "channels": channels, "stacks": stacks}
    with torch.device("meta"):  # the frame alone
        encoder = NasFpnEncoder(DISCOVERED, **shape, pooling="average", extra_convs=True)
        detector = RetinaNet(encoder, num_classes=classes, short_side=SIDE, long_side=SIDE, **AS_TRAINED)
    projections = {f"encoder.projections.{i}.": f"neck.lateral_convs.{i}." for i in range(3)}
    projections |= {f"encoder.extra_projections.{i}.": f"neck.extra_downsamples.{i}.0." for i in range(2)}
    layers = {ours + part: [theirs + name] for ours, theirs in projections.items() for part, name in PROJECTION}
    layers |= {"encoder.backbone.body.": ["backbone."], **_cells(stacks), **_head(len(DISCOVERED.levels))}
    towers = [prefix for prefix in layers if ".convs." in prefix]
    return filled(detector, state, layers, zero_biases=[*towers, *(f"{ours}0." for ours in projections)])


def _cells(stacks: int) -> dict[str, list[str]]:
    """Each cell is ReLU, convolution, norm."""
    return {
        f"encoder.pyramids.{stack}.cells.{index}.{part}": [f"neck.fpn_stages.{stack}.{cell}.out_conv.{name}"]
        for stack in range(stacks)
        for index, cell in enumerate(CELLS)
        for part, name in (("1.", "conv."), ("2.", "bn."))
    }


def _head(levels: int) -> dict[str, list[str]]:
    """Norms of each level's own; the convolutions, which all levels share, are saved once a level."""
    layers = {"heads.0.logits.": ["bbox_head.retina_cls."], "heads.0.deltas.": ["bbox_head.retina_reg."]}
    for tower, convs in (("class_tower", "cls_convs"), ("box_tower", "reg_convs")):
        for depth in range(HEAD_DEPTH):
            places = [f"bbox_head.{convs}.{level}.{depth}." for level in range(levels)]
            layers[f"heads.0.{tower}.convs.{depth}."] = [f"{place}conv." for place in places]
            for level, place in enumerate(places):
                layers[f"heads.0.{tower}.norms.{level}.{depth}."] = [f"{place}bn."]
    return layers
