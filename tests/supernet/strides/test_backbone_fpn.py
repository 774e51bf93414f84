"""The FPN on a timm backbone: its levels and heads, costs to the last MAC, the split at the backbone."""

import pytest
import torch
from torch import nn
from without_init import WithoutInit

from msnas.detectors.rpn import GroupHeads
from supernet.cost import Cost
from supernet.errors import SpaceError
from supernet.mac_counter import count_macs, count_params
from supernet.strides.backbone_fpn import BackboneFpnEncoder
from supernet.strides.backbone_fpn_cost import backbone_fpn_cost, scale_backbone_fpn
from supernet.strides.first_stage_cost import fpn_cost

BACKBONES = [
    "resnet18",
    "mobilenetv2_100",
    "mobilenetv3_large_100",
    "tf_efficientnet_lite0",
    "convnext_atto",
    "regnetx_002",
]
WAYS = {
    "fpn": {},
    "without stride 4": {"finest": 8},
    "searched heads": {"finest": 8, "heads": (8, 8, 16, 16, 64), "norm": True},
    "norm": {"norm": True},
    "no coarse level": {"heads": (4, 4, 8, 8, 16)},
}
SIZE = (64, 128)


# Every backbone at the two sets of levels that an FPN reads of it; what differs behind them, on one.
PAIRS = [(backbone, way) for backbone in BACKBONES for way in ("fpn", "searched heads")]
PAIRS += [("mobilenetv2_100", way) for way in ("without stride 4", "norm", "no coarse level")]


@pytest.mark.parametrize(("backbone", "way"), PAIRS)
def test_closed_form_equals_the_built_baseline(backbone, way):
    with torch.device("meta"), WithoutInit():
        encoder = BackboneFpnEncoder(backbone, channels=24, **WAYS[way])
        heads = GroupHeads(24, 5, shared=encoder.shared_heads)
        model = nn.Sequential(encoder, heads).eval()
        built = Cost(count_macs(model, torch.empty(1, 3, *SIZE)), count_params(model))
    assert backbone_fpn_cost(backbone, channels=24, input_size=SIZE, **WAYS[way]) == built


def test_on_a_resnet_it_costs_what_the_fpn_baseline_costs():
    assert backbone_fpn_cost("resnet18", input_size=SIZE) == fpn_cost("resnet18", input_size=SIZE)


@pytest.mark.parametrize("way", WAYS)
def test_groups_read_features_of_their_strides(way):
    encoder = BackboneFpnEncoder("resnet18", channels=8, **WAYS[way]).eval()
    features = encoder(torch.zeros(1, 3, *SIZE))
    assert [tuple(f.shape) for f in features] == [(1, 8, SIZE[0] // s, SIZE[1] // s) for s in encoder.heads]


def test_heads_of_its_own_come_with_regions_for_every_group():
    plain, searched = (BackboneFpnEncoder("resnet18", channels=8, **WAYS[way]) for way in ("fpn", "searched heads"))
    assert (plain.heads, plain.shared_heads, plain.roi_levels) == ((4, 8, 16, 32, 64), True, (2, 5))
    assert (searched.heads, searched.shared_heads, searched.roi_levels) == ((8, 8, 16, 16, 64), False, (1, 5))


def test_features_give_what_the_images_give():
    encoder, images = BackboneFpnEncoder("resnet18", channels=8, finest=8).eval(), torch.rand(1, 3, *SIZE)
    with torch.no_grad():
        given = encoder.from_features(encoder.prefix(images))
        assert all(torch.equal(a, b) for a, b in zip(given, encoder(images), strict=True))
    assert encoder.feature_strides == (8, 16, 32)


def test_the_backbone_stays_frozen_in_training():
    encoder = BackboneFpnEncoder("resnet18", channels=8).train()
    assert not any(module.training for module in encoder.backbone.modules())
    assert not any(parameter.requires_grad for parameter in encoder.backbone.parameters())
    assert encoder.pyramid.training


def test_config_builds_the_encoder_again():
    made = BackboneFpnEncoder("resnet18", channels=8, **WAYS["searched heads"])
    again = BackboneFpnEncoder(**made.config)
    assert again.config == made.config
    assert again.state_dict().keys() == made.state_dict().keys()


def test_channels_are_chosen_nearest_to_a_budget():
    settings = {"finest": 8, "input_size": SIZE}
    target = backbone_fpn_cost("tf_efficientnet_lite0", channels=40, **settings).macs
    assert scale_backbone_fpn("tf_efficientnet_lite0", macs=target + 1000, **settings) == 40


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({"heads": (8, 8, 16, 16, 32)}, r"the first 4 \(finest\)"),
        ({"heads": (4, 8, 16)}, "heads must be 5"),
        ({"heads": (4, 16, 8, 16, 32)}, "not decreasing"),
        ({"channels": 0}, "channels >= 1"),
        ({"finest": 16}, "finest must be 4"),
    ],
    ids=str,
)
def test_an_impossible_baseline_is_refused(wrong, rule):
    with pytest.raises(SpaceError, match=rule):
        BackboneFpnEncoder("resnet18", **wrong)


def test_a_size_off_the_divisor_is_refused():
    with pytest.raises(SpaceError, match="multiples of 64, but got 96x64"):
        BackboneFpnEncoder("resnet18", channels=8)(torch.zeros(1, 3, 96, 64))
