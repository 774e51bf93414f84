"""Encoders behind a prefix: costs to the last MAC, one path as in the supernet, a prefix that stays frozen."""

import numpy as np
import pytest
import torch
from enumeration import small_prefix
from paths import shake

from supernet.cost import Cost, total
from supernet.errors import SpaceError
from supernet.mac_counter import count_macs, count_params
from supernet.strides.architecture import Architecture
from supernet.strides.first_stage_cost import rpn_head_cost
from supernet.strides.prefix_backbone import PrefixBackbone
from supernet.strides.prefix_encoder import PrefixMixedEncoder, PrefixPathEncoder
from supernet.strides.residuals import residual_norms

BACKBONES = [
    "resnet18",
    "mobilenetv2_100",
    "mobilenetv3_large_100",
    "tf_efficientnet_lite0",
    "convnext_atto",
    "regnetx_002",
]
SHAPE = {"backbone": "resnet18", "cut": 16, "channels": 8}
LATERALS = "2,0.5,0.5,1,2|8,8,16,16,32"  # reads the prefix's strides 16 and 8, then its own stage of stride 16


def drawn(space, seed):
    return space.decode(space.sample(np.random.default_rng(seed)))


def built_cost(encoder, size):
    heads = total(rpn_head_cost(encoder.out_channels, size[0] * size[1] // s**2) for s in encoder.architecture.heads)
    return heads + Cost(count_macs(encoder, torch.empty(1, 3, *size)), count_params(encoder))


@pytest.mark.parametrize("cut", [8, 16, 32])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_built_paths_cost_what_the_space_says_without_dead_blocks(backbone, cut):
    shape = {"backbone": backbone, "cut": cut, "channels": 20, "block": "bottleneck" if cut == 8 else "basic"}
    space = small_prefix(depth=7, live=False, **shape)
    path = drawn(space, seed=cut)
    with torch.device("meta"):
        encoder = PrefixPathEncoder(path, **shape).eval()
        built = built_cost(encoder, space.input_size)
    assert built + space.dead_cost(path) == space.cost(space.encode(path))


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_weight_of_a_prefix_matters_for_its_last_feature(backbone):
    prefix = PrefixBackbone(backbone, (8, 16), train="full")
    prefix(torch.rand(2, 3, 64, 64))[16].sum().backward()
    assert all(parameter.grad is not None for parameter in prefix.parameters())


@pytest.fixture(scope="module")
def supernet():
    torch.manual_seed(0)
    return shake(PrefixMixedEncoder(depth=5, **SHAPE)).eval()


@pytest.mark.parametrize("seed", range(4))
def test_extracted_path_equals_the_supernet_bitwise(supernet, seed):
    path, images = drawn(small_prefix(live=False), seed), torch.rand(1, 3, 64, 128)
    with torch.no_grad():
        ours, theirs = supernet(images, path), supernet.extract(path)(images)
    assert [tuple(f.shape) for f in ours] == [(1, 8, 64 // s, 128 // s) for s in path.heads]
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_features_give_what_the_images_give(supernet):
    path, images = Architecture.parse(LATERALS), torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        features = supernet.prefix(images)
        pairs = zip(supernet.from_features(features, path), supernet(images, path), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)
    assert {s: tuple(f.shape) for s, f in features.items()} == {
        4: (2, 64, 16, 16),
        8: (2, 128, 8, 8),
        16: (2, 256, 4, 4),
    }
    assert supernet.feature_strides == (4, 8, 16)


def test_laterals_of_the_prefix_are_added_at_the_end_of_a_stage():
    encoder = shake(PrefixPathEncoder(LATERALS, **SHAPE)).eval()
    features = {s: torch.rand(1, c, 64 // s, 64 // s) for s, c in encoder.backbone.channels.items()}
    blocks, laterals = list(encoder.blocks), encoder.laterals
    x16 = blocks[1](blocks[0](features[16])) + laterals["s16"](features[16])
    x8 = blocks[3](blocks[2](x16)) + laterals["s8"](features[8])
    x16 = blocks[4](x8) + laterals["1"](x16)
    with torch.no_grad():
        given = encoder.from_features(features)
    assert sorted(laterals) == ["1", "s16", "s8"]
    assert torch.allclose(given[0], encoder.outputs["8"](x8))
    assert torch.allclose(given[2], encoder.outputs["16"](x16))


def test_extraction_shares_a_frozen_prefix_and_nothing_else():
    supernet = PrefixMixedEncoder(depth=5, **SHAPE)
    path = supernet.extract(Architecture.parse(LATERALS))
    shared = {p.data_ptr() for p in path.parameters()} & {p.data_ptr() for p in supernet.parameters()}
    assert path.backbone is supernet.backbone
    assert shared == {p.data_ptr() for p in supernet.backbone.parameters()}


def test_extraction_copies_a_prefix_that_is_trained():
    supernet = PrefixMixedEncoder(depth=5, train_prefix="slow", **SHAPE)
    path = supernet.extract(Architecture.parse(LATERALS))
    assert not {p.data_ptr() for p in path.parameters()} & {p.data_ptr() for p in supernet.parameters()}


def test_a_frozen_prefix_keeps_statistics_and_gets_no_gradient_in_training():
    encoder = PrefixPathEncoder(LATERALS, **SHAPE).train()
    before = {key: value.clone() for key, value in encoder.backbone.state_dict().items()}
    sum(feature.sum() for feature in encoder(torch.rand(2, 3, 64, 64))).backward()
    assert all(torch.equal(value, before[key]) for key, value in encoder.backbone.state_dict().items())
    assert all(parameter.grad is None for parameter in encoder.backbone.parameters())
    assert encoder.blocks.training
    assert not any(module.training for module in encoder.backbone.modules())


@pytest.mark.parametrize("train", ["slow", "full"])
def test_a_prefix_that_is_trained_gets_gradients(train):
    encoder = PrefixPathEncoder(LATERALS, train_prefix=train, **SHAPE).train()
    sum(feature.sum() for feature in encoder(torch.rand(2, 3, 64, 64))).backward()
    assert any(parameter.grad is not None for parameter in encoder.backbone.parameters())


def test_branches_of_blocks_start_at_the_given_scale_and_those_of_the_prefix_stay():
    encoder = PrefixPathEncoder(LATERALS, residual_init=0.5, **SHAPE)
    assert len(residual_norms(encoder)) == 5
    assert all((norm.weight == 0.5).all() for norm in residual_norms(encoder))


def test_configs_build_the_encoders_again():
    path = PrefixPathEncoder(LATERALS, residual_init=0.5, train_prefix="full", finest=8, **SHAPE)
    mixed = PrefixMixedEncoder(depth=4, finest=8, **SHAPE)
    for made in (path, mixed):
        again = type(made)(**made.config)
        assert again.config == made.config
        assert again.state_dict().keys() == made.state_dict().keys()


def test_without_stride_4_the_supernet_reads_and_writes_none():
    supernet = PrefixMixedEncoder(depth=4, finest=8, **SHAPE)
    assert supernet.feature_strides == (8, 16)
    assert sorted(supernet.outputs) == ["16", "32", "64", "8"]
    assert sorted(supernet.laterals) == ["0", "1", "2", "s16", "s8"]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("2,0.5|16,16,16,32,32", "has 5 blocks"),
        ("0.5,0.5,2,2,2|4,4,8,8,32", "finest feature stride of a block here is 8"),
        ("2,0.5,2,0.5,2|8,8,16,16,32", "Every head must read"),
    ],
)
def test_a_path_that_is_not_in_the_supernet_is_refused(text, rule):
    with pytest.raises(SpaceError, match=rule):
        PrefixMixedEncoder(depth=5, finest=8, **SHAPE)(torch.zeros(1, 3, 64, 64), Architecture.parse(text))


def test_wrong_sizes_and_another_way_to_train_are_refused():
    with pytest.raises(SpaceError, match="multiples of 64, but got 96x64"):
        PrefixPathEncoder(LATERALS, **SHAPE)(torch.zeros(1, 3, 96, 64))
    with pytest.raises(SpaceError, match="trained frozen, slow, full, but got 'no'"):
        PrefixPathEncoder(LATERALS, train_prefix="no", **SHAPE)
