"""The closed form of costs: published integers, the built modules' count, the baseline at any width."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from paths import random_path
from torch import nn

from msnas.detectors.box_head import BoxPredictor, make_box_head
from msnas.detectors.rpn import GroupHeads
from supernet.cost import Cost, resnet_channels, total
from supernet.errors import SpaceError
from supernet.mac_counter import count_macs, count_params
from supernet.strides.architecture import Architecture
from supernet.strides.dead_parts import dead_cost
from supernet.strides.first_stage_cost import (
    box_head_cost,
    check_input_size,
    first_stage_cost,
    first_stage_parts,
    fpn_cost,
    scale_fpn,
)
from supernet.strides.fpn_encoder import FpnEncoder
from supernet.strides.stride_encoder import PathEncoder

SIZES = [(832, 1280), (576, 1024), (64, 64), (128, 448)]


class FirstStage(nn.Module):
    """Encoder and RPN heads, as the paper counts its FLOPs."""

    def __init__(self, encoder: nn.Module, *, shared: bool) -> None:
        super().__init__()
        self.encoder, self.rpn = encoder, GroupHeads(encoder.out_channels, 5, shared=shared)

    def forward(self, images):
        return self.rpn(self.encoder(images))


def counted(encoder_class, input_size, *, shared=False, **settings):
    with torch.device("meta"):
        model = FirstStage(encoder_class(**settings), shared=shared).eval()
        return Cost(count_macs(model, torch.empty(1, 3, *input_size)), count_params(model))


@pytest.mark.parametrize(
    ("backbone", "macs"),
    [("resnet18", 145_311_329_280), ("resnet34", 184_570_014_720), ("resnet50", 199_700_966_400)],
)
def test_baselines_cost_the_published_integers(backbone, macs):
    assert fpn_cost(backbone).macs == macs


@pytest.mark.parametrize("base_stride", [2, 4])
@pytest.mark.parametrize("block", ["basic", "bottleneck"])
@pytest.mark.parametrize("seed", range(4))
def test_closed_form_equals_the_built_path(block, base_stride, seed):
    depth, channels = (5, 9, 13, 21)[seed], (8, 36, 144, 20)[seed]
    path = random_path(100 + seed, depth, base_stride)
    settings = {"block": block, "channels": channels, "base_stride": base_stride, "stem": (64, 8, 20, 48)[seed]}
    built = counted(PathEncoder, SIZES[seed], architecture=path, **settings)
    dead = dead_cost(path, input_size=SIZES[seed], **settings)
    assert first_stage_cost(path, input_size=SIZES[seed], **settings) == built + dead


def test_a_published_winner_pays_for_a_dead_block_and_the_lateral_that_its_stage_owes():
    winner = Architecture.parse("1,2,2,1,2,1,0.5,1,1,0.5,1,1,0.5|8,8,16,16,32")
    settings = {"block": "basic", "channels": 180, "input_size": (832, 1280)}
    parts = first_stage_parts(winner, **settings)
    assert (parts["block 13"].macs, parts["lateral 1"].macs) == (40_974_336_000, 2_156_544_000)
    assert dead_cost(winner, **settings).macs == 43_130_880_000


def test_a_live_path_has_no_dead_part():
    path = Architecture.parse("1,2,2,1,0.5|4,8,8,16,16").live()
    assert dead_cost(path, block="basic", channels=8, input_size=(64, 64)) == Cost(0, 0)


@pytest.mark.parametrize(
    ("backbone", "width", "channels", "base_stride", "stem"),
    [
        ("resnet18", 1.0, 256, 4, 64),
        ("resnet18", 0.25, 32, 2, 16),
        ("resnet18", 0.25, 32, 2, 8),
        ("resnet34", 0.6, 100, 4, 40),
        ("resnet50", 1.0, 256, 4, 64),
        ("resnet50", 1.3, 64, 2, 24),
    ],
)
def test_closed_form_equals_the_built_baseline(backbone, width, channels, base_stride, stem):
    settings = {"width": width, "channels": channels, "base_stride": base_stride, "stem": stem}
    expected = counted(FpnEncoder, (128, 192), shared=True, backbone=backbone, **settings)
    assert fpn_cost(backbone, input_size=(128, 192), **settings) == expected


@pytest.mark.parametrize("kind", ["2conv1fc", "4conv1fc"])
def test_closed_form_equals_the_built_box_head(kind):
    with torch.device("meta"):
        head = make_box_head(kind, 180, channels=32, fc_channels=64).eval()
        model = nn.Sequential(head, BoxPredictor(64, 21))
        expected = Cost(count_macs(model, torch.empty(6, 180, 7, 7)), count_params(model))
    settings = {"in_channels": 180, "channels": 32, "fc_channels": 64, "num_classes": 20}
    assert box_head_cost(kind, rois=6, **settings) == expected


def test_whole_detectors_are_near_the_published_rows():
    r50 = fpn_cost("resnet50").macs
    two_fc = 256 * 49 * 1024 + 1024**2 + 1024 * 5 * 81
    assert round((r50 + 1000 * two_fc) / 1e9, 1) == 214.0
    assert round((r50 + box_head_cost("4conv1fc", in_channels=256).macs) / 1e9, 1) == 328.6


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 25), st.sampled_from([2, 4]), st.sampled_from(SIZES))
def test_the_parts_make_the_whole(seed, depth, base_stride, size):
    path = random_path(seed, depth, base_stride)
    settings = {"block": "basic", "channels": 12, "base_stride": base_stride, "input_size": size}
    parts = first_stage_parts(path, **settings)
    assert total(parts.values()) == first_stage_cost(path, **settings)
    assert sum(name.startswith("block") for name in parts) == depth
    assert sum(name.startswith("rpn") for name in parts) == 5


def test_parts_name_the_block_that_owns_a_lateral():
    parts = first_stage_parts(Architecture.parse("1,2,0.5|4,4,4,8,8"), block="basic", channels=10, input_size=(64, 64))
    assert parts["lateral 1"] == Cost(16 * 16 * 100, 110)
    assert [name for name in parts if name.startswith("output")] == ["output 4", "output 8"]


@pytest.mark.parametrize(
    ("size", "base_stride", "padded"),
    [((416, 416), 4, "448x448"), ((800, 1333), 4, "832x1344"), ((0, 64), 4, "64x64"), ((32, 40), 2, "32x64")],
)
def test_a_size_that_is_no_multiple_names_the_padded_one(size, base_stride, padded):
    with pytest.raises(SpaceError, match=padded):
        check_input_size(size, base_stride)


def test_a_narrow_resnet_has_channels_of_multiples_of_eight():
    assert resnet_channels(1.0) == (64, 128, 256, 512)
    assert resnet_channels(0.3) == (16, 40, 80, 152)
    assert resnet_channels(0.01) == (8, 8, 8, 8)


@pytest.mark.parametrize("macs", [400_000_000_000, 145_000_000_000, 60_000_000_000, 30_000_000_000])
def test_a_baseline_is_scaled_to_within_one_percent(macs):
    width, channels = scale_fpn("resnet18", macs=macs, input_size=(832, 1280))
    assert fpn_cost("resnet18", width=width, channels=channels).macs == pytest.approx(macs, rel=0.01)


@pytest.mark.parametrize(
    "wrong",
    [
        {"backbone": "vgg16"},
        {"width": 0},
        {"width": float("nan")},
        {"channels": 0},
        {"base_stride": 3},
        {"input_size": (800, 1333)},
    ],
    ids=str,
)
def test_an_impossible_baseline_is_refused(wrong):
    with pytest.raises(SpaceError):
        fpn_cost(**{"backbone": "resnet18", **wrong})


def test_an_unknown_box_head_is_refused():
    with pytest.raises(SpaceError, match="2conv1fc, 4conv1fc"):
        box_head_cost("3conv1fc", in_channels=256)
