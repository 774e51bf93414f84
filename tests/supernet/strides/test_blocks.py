"""Stem, residual blocks and mixed blocks: shapes, strides, shortcuts."""

import pytest
import torch
from paths import shake
from torch import nn
from torch.nn import functional as F
from torchvision.models import resnet

from supernet.cost import Cost
from supernet.mac_counter import count_macs, count_params
from supernet.strides.blocks import BLOCKS, BasicBlock, Bottleneck, MixedBlock, Stem
from supernet.strides.first_stage_cost import block_cost, stem_cost


@pytest.mark.parametrize("base_stride", [2, 4])
def test_stem_divides_the_image_by_the_base_stride(base_stride):
    assert Stem(base_stride)(torch.zeros(2, 3, 64, 96)).shape == (2, 64, 64 // base_stride, 96 // base_stride)


@pytest.mark.parametrize("stride", [0.5, 1, 2])
@pytest.mark.parametrize("block", BLOCKS)
def test_block_divides_the_map_by_its_stride(block, stride):
    made = BLOCKS[block](64, 16, stride)
    assert made(torch.zeros(2, 64, 8, 4)).shape == (2, 16 * made.expansion, int(8 / stride), int(4 / stride))


@pytest.mark.parametrize("stride", [0.5, 1, 2])
@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("inputs", [64, 24])
def test_block_costs_what_the_closed_form_says(block, stride, inputs):
    with torch.device("meta"):
        made, image = BLOCKS[block](inputs, 24, stride).eval(), torch.zeros(1, inputs, 16, 8)
    built = Cost(count_macs(made, image), count_params(made))
    assert built == block_cost(block, inputs, 24, stride, 16 * 8)


def test_stem_costs_what_the_closed_form_says():
    with torch.device("meta"):
        built = Cost(count_macs(Stem(4), torch.zeros(1, 3, 64, 128)), count_params(Stem(4)))
    assert built == stem_cost(4, (64, 128))


def test_shortcut_is_the_identity_only_where_the_shape_stays():
    assert isinstance(BasicBlock(16, 16, 1).shortcut, nn.Identity)
    assert isinstance(Bottleneck(64, 16, 1).shortcut, nn.Identity)
    changed = [BasicBlock(16, 16, 2), BasicBlock(16, 16, 0.5), BasicBlock(64, 16, 1), Bottleneck(16, 16, 1)]
    assert not any(isinstance(block.shortcut, nn.Identity) for block in changed)


def test_a_doubling_block_is_the_projecting_block_on_the_interpolated_map():
    doubling, x = shake(BasicBlock(16, 16, 0.5)).eval(), torch.rand(1, 16, 4, 6)
    large = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    assert torch.equal(doubling(x), F.relu(doubling.residual(large) + doubling.shortcut(large)))


@pytest.mark.parametrize(("ours", "theirs"), [("basic", resnet.BasicBlock), ("bottleneck", resnet.Bottleneck)])
def test_a_halving_block_equals_that_of_a_resnet(ours, theirs):
    width, planes, made = 32, 16, shake(BLOCKS[ours](32, 16, 2))
    outputs = planes * made.expansion
    shortcut = nn.Sequential(nn.Conv2d(width, outputs, 1, 2, bias=False), nn.BatchNorm2d(outputs))
    reference = theirs(width, planes, 2, shortcut)
    reference.load_state_dict(dict(zip(reference.state_dict(), made.state_dict().values(), strict=True)))
    x = torch.rand(2, width, 8, 8)
    torch.testing.assert_close(made(x), reference(x))


def test_branches_of_a_mixed_block_share_no_weight():
    mixed = MixedBlock("basic", 16, 16, (0.5, 1, 2))
    owned = [{id(p) for p in mixed.branch(stride).parameters()} for stride in (0.5, 1, 2)]
    assert len(set.union(*owned)) == sum(map(len, owned)) == len(list(mixed.parameters()))


def test_convolutions_start_with_the_variance_of_their_outputs_fan():
    conv = BasicBlock(64, 64, 1).residual[0]
    assert conv.weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.05)


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_starts_as_its_shortcut(block):
    made, x = BLOCKS[block](32, 8, 2), torch.rand(2, 32, 8, 8)
    assert torch.equal(made(x), F.relu(made.shortcut(x)))
