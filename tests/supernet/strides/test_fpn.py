"""The FPN baseline: levels, cost, weights from a file."""

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from supernet.cost import Cost
from supernet.errors import SpaceError
from supernet.mac_counter import count_macs, count_params
from supernet.strides.first_stage_cost import fpn_cost, rpn_head_cost
from supernet.strides.fpn_encoder import FpnEncoder

NARROW = {"channels": 16, "width": 0.125}


@pytest.mark.parametrize("base_stride", [2, 4])
def test_levels_have_the_strides_of_p2_to_p6(base_stride):
    encoder = FpnEncoder("resnet18", base_stride=base_stride, **NARROW).eval()
    features = encoder(torch.zeros(1, 3, 64, 128))
    strides = [base_stride * 2**level for level in range(5)]
    assert [tuple(f.shape) for f in features] == [(1, 16, 64 // s, 128 // s) for s in strides]


def test_p6_is_p5_subsampled():
    *_, p5, p6 = FpnEncoder("resnet18", **NARROW).eval()(torch.rand(1, 3, 128, 128))
    assert torch.equal(p6, p5[:, :, ::2, ::2])


@pytest.mark.parametrize("backbone", ["resnet18", "resnet34", "resnet50"])
@pytest.mark.parametrize("scale", [{}, {"width": 0.3, "channels": 40, "base_stride": 2}], ids=["full", "narrow"])
def test_built_baseline_costs_what_the_closed_form_says(backbone, scale):
    size = (128, 192)
    with torch.device("meta"):
        encoder = FpnEncoder(backbone, **scale).eval()
        built = Cost(count_macs(encoder, torch.zeros(1, 3, *size)), count_params(encoder))
    strides = [scale.get("base_stride", 4) * 2**level for level in range(5)]
    heads = rpn_head_cost(encoder.out_channels, sum(size[0] * size[1] // s**2 for s in strides))
    assert built + heads == fpn_cost(backbone, input_size=size, **scale)


def test_pyramid_has_biases_and_no_norm():
    pyramid = FpnEncoder("resnet18", **NARROW).pyramid
    assert not any(isinstance(m, nn.BatchNorm2d) for m in pyramid.modules())
    assert all(m.bias is not None for m in pyramid.modules() if isinstance(m, nn.Conv2d))


@pytest.mark.parametrize("base_stride", [2, 4])
def test_backbone_takes_the_weights_of_a_file(tmp_path, base_stride):
    classifier = timm.create_model("resnet18")
    nn.init.constant_(classifier.layer4[1].bn2.weight, 0.25)
    save_file(classifier.state_dict(), tmp_path / "weights.safetensors")
    encoder = FpnEncoder("resnet18", base_stride=base_stride, weights=str(tmp_path / "weights.safetensors"))
    state = encoder.state_dict()
    taken = [key for key in classifier.state_dict() if any(name.endswith(key) for name in state)]
    assert {key for key in classifier.state_dict() if key not in taken} == {"fc.weight", "fc.bias"}
    assert torch.equal(encoder.backbone.body.layer4[1].bn2.weight, classifier.layer4[1].bn2.weight)
    assert torch.equal(encoder.backbone.body.conv1.weight, classifier.conv1.weight)


def test_another_stem_is_refused_with_weights_of_64_channels():
    with pytest.raises(SpaceError, match="stem of 64 channels, but got stem=16"):
        FpnEncoder("resnet18", stem=16, weights="weights.safetensors")


def test_config_builds_the_baseline_again():
    made = FpnEncoder("resnet18", stem=16, residual_init=0.5, **NARROW)
    again = FpnEncoder(**made.config)
    assert again.config == made.config
    assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in made.state_dict().items()}


def test_an_unknown_backbone_is_refused_with_the_known_ones():
    with pytest.raises(SpaceError, match="resnet18, resnet34, resnet50"):
        FpnEncoder("resnet101")


def test_a_size_off_the_divisor_is_refused():
    with pytest.raises(SpaceError, match="multiples of 32, but got 48x64"):
        FpnEncoder("resnet18", base_stride=2, **NARROW)(torch.zeros(1, 3, 48, 64))
