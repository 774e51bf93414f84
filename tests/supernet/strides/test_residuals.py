"""What residual branches start at, and networks without them."""

import pytest
import torch
from paths import shake
from torch import nn

from supernet.errors import SpaceError
from supernet.strides.blocks import ResidualBlock
from supernet.strides.fpn_encoder import FpnEncoder
from supernet.strides.residuals import residual_norms, without_residuals
from supernet.strides.stride_encoder import MixedEncoder, PathEncoder

TEXT = "1,2,2,0.5,0.5|4,8,8,16,16"
MADE = {
    "path": lambda **options: PathEncoder(TEXT, block="basic", channels=8, **options),
    "bottleneck": lambda **options: PathEncoder(TEXT, block="bottleneck", channels=8, **options),
    "supernet": lambda **options: MixedEncoder(block="basic", depth=5, channels=8, **options),
    "resnet18": lambda **options: FpnEncoder("resnet18", width=0.125, channels=8, **options),
    "resnet50": lambda **options: FpnEncoder("resnet50", width=0.125, channels=8, stem=16, **options),
}
BRANCHES = {"path": 5, "bottleneck": 5, "supernet": 14, "resnet18": 8, "resnet50": 16}


@pytest.mark.parametrize("kind", MADE)
def test_every_branch_starts_at_the_given_scale(kind):
    for options, value in (({}, 0.0), ({"residual_init": 0.25}, 0.25)):
        norms = residual_norms(MADE[kind](**options))
        assert len(norms) == BRANCHES[kind]
        assert all((norm.weight == value).all() for norm in norms)


def test_without_residuals_a_block_is_its_shortcut():
    encoder, images = shake(MADE["path"]()).eval(), torch.rand(1, 3, 64, 64)
    seen = []
    for block in encoder.modules():
        if isinstance(block, ResidualBlock):
            block.residual.register_forward_hook(lambda _, __, output: seen.append(output.abs().max().item()))
    with torch.no_grad(), without_residuals(encoder):
        encoder(images)
    assert seen == [0.0] * 5


@pytest.mark.parametrize("kind", ["path", "resnet18", "resnet50"])
def test_afterwards_the_branches_are_back(kind):
    encoder, images = shake(MADE[kind]()).eval(), torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        before = encoder(images)
        with without_residuals(encoder):
            inside = encoder(images)
        after = encoder(images)
    assert not torch.equal(before[0], inside[0])
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_branches_that_start_at_zero_change_nothing_when_removed():
    encoder, images = MADE["resnet18"]().eval(), torch.rand(1, 3, 64, 64)
    with torch.no_grad(), without_residuals(encoder):
        inside = encoder(images)
    assert torch.equal(encoder(images)[0], inside[0])


def test_a_scale_that_is_none_is_refused():
    with pytest.raises(SpaceError, match="residual_init <= 10 must hold, but got -1"):
        MADE["path"](residual_init=-1)


def test_norms_inside_a_branch_start_at_one():
    block = MADE["path"](residual_init=0.0).blocks[0]
    assert isinstance(block.residual[1], nn.BatchNorm2d)
    assert (block.residual[1].weight == 1).all()
