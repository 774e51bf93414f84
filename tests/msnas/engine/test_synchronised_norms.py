"""Batch norms that look over all processes: what is converted, and that nothing else changes."""

import pytest
import timm
import torch
from torch import nn

from msnas.engine.distributed import synchronised
from supernet.nas_fcos.caffe_backbone import CaffeBackbone

BACKBONES = ["resnet18", "mobilenetv2_100", "mobilenetv3_small_050", "efficientnet_lite0", "regnetx_002", "densenet121"]


def norms(model):
    return [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


@pytest.mark.parametrize("name", BACKBONES)
def test_a_backbone_gives_in_evaluation_what_it_gave_before(name):
    torch.manual_seed(0)
    model = timm.create_model(name, features_only=True).eval()
    images = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        before = [features.clone() for features in model(images)]
        after = synchronised(model)(images)
    assert all(isinstance(norm, nn.SyncBatchNorm) for norm in norms(model))
    torch.testing.assert_close(after, before, rtol=0, atol=0)


def test_frozen_norms_are_not_converted_and_keep_their_statistics_in_training():
    model = synchronised(CaffeBackbone("resnet18", width=0.25, frozen=True)).train()
    before = [norm.running_mean.clone() for norm in norms(model)]
    model(torch.rand(2, 3, 64, 64))
    assert not any(isinstance(norm, nn.SyncBatchNorm) for norm in norms(model))
    assert all(torch.equal(norm.running_mean, old) for norm, old in zip(norms(model), before, strict=True))


def test_weights_stay_the_same_objects_and_a_shared_norm_stays_shared():
    norm = nn.BatchNorm2d(2)
    model = nn.ModuleDict({"a": nn.Sequential(norm), "b": nn.Sequential(norm)})
    synchronised(model)
    assert model["a"][0] is model["b"][0]
    assert model["a"][0].weight is norm.weight
