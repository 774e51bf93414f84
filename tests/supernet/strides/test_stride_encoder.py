"""The supernet and one of its paths alone: same numbers, laterals of eq. 4-6, gradients on the path only."""

import pytest
import torch
from paths import random_path, shake
from torch import nn
from torch.nn import functional as F

from supernet.cost import Cost, total
from supernet.errors import SpaceError
from supernet.mac_counter import count_macs, count_params
from supernet.strides.architecture import Architecture
from supernet.strides.dead_parts import dead_cost
from supernet.strides.first_stage_cost import first_stage_cost, rpn_head_cost
from supernet.strides.stride_encoder import MixedEncoder, PathEncoder

PUBLISHED = Architecture.parse("1,2,2,1,2,1,0.5,1,1,0.5,1,1,0.5|8,8,16,16,32")
SPACES = [("basic", 4), ("basic", 2), ("bottleneck", 4), ("bottleneck", 2)]


@pytest.fixture(scope="module")
def supernets():
    made = {}
    for block, base_stride in SPACES:
        torch.manual_seed(1)
        made[block, base_stride] = shake(MixedEncoder(block=block, depth=8, channels=8, base_stride=base_stride))
    return made


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("space", SPACES, ids=str)
def test_extracted_path_equals_the_supernet_bitwise(supernets, space, seed):
    supernet, path = supernets[space].eval(), random_path(seed, 8, space[1])
    images = torch.rand(2, 3, 64, 128)
    with torch.no_grad():
        pairs = list(zip(supernet(images, path), supernet.extract(path)(images), strict=True))
    assert len(pairs) == 5
    assert all(torch.equal(ours, theirs) for ours, theirs in pairs)


@pytest.mark.parametrize("seed", range(4))
def test_extracted_path_trains_like_the_supernet_bitwise(supernets, seed):
    supernet, path = supernets["basic", 4].train(), random_path(seed, 8)
    images = torch.rand(2, 3, 64, 64)
    alone = supernet.extract(path)
    outputs = [encoder(*args) for encoder, args in ((alone, (images,)), (supernet, (images, path)))]
    grads = []
    for encoder, features in zip((alone, supernet), outputs, strict=True):
        encoder.zero_grad(set_to_none=True)
        sum(feature.square().mean() for feature in features).backward()
        grads.append([p.grad for p in encoder.parameters() if p.grad is not None])
    assert all(torch.equal(a, b) for a, b in zip(*outputs, strict=True))
    assert sorted(g.abs().sum().item() for g in grads[0]) == sorted(g.abs().sum().item() for g in grads[1])


def test_extraction_draws_no_random_numbers_and_shares_no_weights(supernets):
    supernet = supernets["basic", 4]
    before = torch.get_rng_state()
    path = supernet.extract(random_path(0, 8))
    assert torch.equal(before, torch.get_rng_state())
    assert not {p.data_ptr() for p in path.parameters()} & {p.data_ptr() for p in supernet.parameters()}
    assert not any(p.is_meta for p in path.parameters())


def test_extracted_path_holds_the_path_and_nothing_else():
    supernet = MixedEncoder(block="basic", depth=13, channels=16)
    path = supernet.extract(PUBLISHED)
    heads = sum((rpn_head_cost(16, 0).params for _ in range(5)), 0)
    expected = first_stage_cost(PUBLISHED.live(), block="basic", channels=16, input_size=(64, 64)).params
    assert count_params(path) + heads == expected


def naive_features(encoder: PathEncoder, images: torch.Tensor, laterals: dict[int, int]) -> dict[int, torch.Tensor]:
    """Every block's output; `laterals`: the block that receives -> the block that gives."""
    x, outputs = encoder.stem(images), {}
    for number, block in enumerate(encoder.blocks, start=1):
        x = block(x)
        if number in laterals:
            source = laterals[number]
            conv = encoder.laterals[str(source - 1)]
            x = x + F.conv2d(outputs[source], conv.weight, conv.bias)
        outputs[number] = x
    return outputs


# Feature strides 4,8,16,16,32,32,16,16,16,8,8,8,4: stages end at 1, 2, 4, 6, 9, 12 and 13, of which 13 is dead.
@pytest.mark.parametrize(
    ("text", "laterals", "read"),
    [
        (str(PUBLISHED), {9: 4, 12: 2}, {8: 12, 16: 9, 32: 6}),
        # 4,8,4,8,4,8: each takes the nearest one of its stride, after that one's own addition
        ("1,2,0.5,2,0.5,2|4,4,4,8,8", {3: 1, 4: 2, 5: 3, 6: 4}, {4: 5, 8: 6}),
        # 8,8,16,8,8: a stage of two blocks gives its last one's output and receives in its last one
        ("2,1,2,0.5,1|8,8,8,16,16", {5: 2}, {8: 5, 16: 3}),
        ("1,1,1,2|4,4,4,8,8", {}, {4: 3, 8: 4}),
    ],
)
def test_laterals_are_those_of_equations_4_to_6(text, laterals, read):
    path = Architecture.parse(text)
    encoder = shake(PathEncoder(path, block="basic", channels=8)).eval()
    images = torch.rand(1, 3, 64, 64)
    outputs = naive_features(encoder, images, laterals)
    assert sorted(encoder.laterals) == sorted(str(source - 1) for source in laterals.values())
    for stride, feature in zip(path.heads, encoder(images), strict=True):
        assert torch.equal(feature, encoder.outputs[str(stride)](outputs[read[stride]]))


def test_groups_of_one_stride_read_one_tensor():
    features = PathEncoder(PUBLISHED, block="basic", channels=8).eval()(torch.zeros(1, 3, 64, 64))
    assert features[0] is features[1]
    assert features[2] is features[3]
    assert len({id(feature) for feature in features}) == 3


@pytest.mark.parametrize("size", [(64, 64), (64, 192), (192, 128)])
@pytest.mark.parametrize("space", SPACES, ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_any_path_runs_at_any_multiple_of_the_divisor(supernets, space, seed, size):
    supernet, path = supernets[space].eval(), random_path(seed + 50, 8, space[1])
    with torch.no_grad():
        features = supernet(torch.rand(1, 3, *size), path)
    expected = [(1, 8, size[0] // head, size[1] // head) for head in path.heads]
    assert [tuple(feature.shape) for feature in features] == expected


def test_only_the_path_gets_gradients():
    supernet = MixedEncoder(block="basic", depth=13, channels=8)
    sum(f.sum() for f in supernet(torch.rand(2, 3, 64, 64), PUBLISHED)).backward()
    reached = {name for name, p in supernet.named_parameters() if p.grad is not None}
    branch = {0.5: "up", 1: "keep", 2: "down"}
    on_path = {f"blocks.{i}.branches.{branch[s]}." for i, s in enumerate(PUBLISHED.strides)}
    on_path |= {
        "stem.",
        "laterals.0.",
        "laterals.1.",
        "laterals.3.",
        "outputs.8.",
        "outputs.16.",
        "outputs.32.",
    }
    tail = {"blocks.12.branches.up.", "laterals.0."}  # dead: the last stage, of stride 4, is read by no head
    for name, _ in supernet.named_parameters():
        expected = name.startswith(tuple(on_path - tail))
        assert (name in reached) == expected, name


def test_unsampled_branches_keep_their_statistics():
    supernet = MixedEncoder(block="basic", depth=13, channels=8).train()
    supernet(torch.rand(2, 3, 64, 64), PUBLISHED)
    seen = sum(int(b.item()) for name, b in supernet.named_buffers() if name.endswith("num_batches_tracked"))
    path_norms = [m for m in supernet.extract(PUBLISHED).modules() if isinstance(m, nn.BatchNorm2d)]
    assert seen == len(path_norms)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("space", SPACES, ids=str)
def test_built_first_stage_costs_what_the_closed_form_says(space, seed):
    block, base_stride = space
    path, size = random_path(seed, 9, base_stride), [(64, 64), (192, 320)][seed % 2]
    with torch.device("meta"):
        encoder = PathEncoder(path, block=block, channels=20, base_stride=base_stride).eval()
        built = Cost(count_macs(encoder, torch.zeros(1, 3, *size)), count_params(encoder))
    heads = total(rpn_head_cost(20, size[0] * size[1] // head**2) for head in path.heads)
    settings = {"block": block, "channels": 20, "base_stride": base_stride, "input_size": size}
    assert built + heads + dead_cost(path, **settings) == first_stage_cost(path, **settings)


def test_a_supernet_with_a_narrow_stem_gives_paths_with_one():
    supernet = MixedEncoder(block="basic", depth=13, channels=8, stem=16).eval()
    path, images = supernet.extract(PUBLISHED), torch.rand(1, 3, 64, 64)
    assert path.config["stem"] == path.stem[0].out_channels == 16
    assert all(torch.equal(a, b) for a, b in zip(path(images), supernet(images, PUBLISHED), strict=True))


def test_the_supernets_path_costs_what_the_closed_form_says():
    with torch.device("meta"):
        supernet = MixedEncoder(block="bottleneck", depth=13, channels=12).eval()
        macs = count_macs(supernet, torch.zeros(1, 3, 128, 192), PUBLISHED)
    heads = sum(rpn_head_cost(12, 128 * 192 // head**2).macs for head in PUBLISHED.heads)
    cost = first_stage_cost(PUBLISHED.live(), block="bottleneck", channels=12, input_size=(128, 192))
    assert macs + heads == cost.macs


def test_training_on_a_single_value_is_one_clear_error():
    encoder = PathEncoder("2,2,2,2|8,8,16,32,64", block="basic", channels=8).train()
    with pytest.raises(SpaceError, match="64x64 has one at stride 64"):
        encoder(torch.zeros(1, 3, 64, 64))
    assert len(encoder(torch.zeros(2, 3, 64, 64))) == 5
    assert len(encoder.eval()(torch.zeros(1, 3, 64, 64))) == 5


def test_a_size_off_the_divisor_is_refused():
    with pytest.raises(SpaceError, match="multiples of 64, but got 100x128"):
        PathEncoder(PUBLISHED, block="basic", channels=8)(torch.zeros(1, 3, 100, 128))


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("1,2|4,4,4,8,8", "has 13 blocks"),
        ("0.5,2,2,1,2,1,0.5,1,1,0.5,1,1,0.5|8,8,16,16,32", "Block 1"),
        ("1,2,2,1,2,1,0.5,1,1,0.5,1,1,0.5|8,8,16,16,64", "Every head must read"),
    ],
)
def test_a_path_that_is_not_in_the_supernet_is_refused(text, rule):
    supernet = MixedEncoder(block="basic", depth=13, channels=4)
    with pytest.raises(SpaceError, match=rule):
        supernet(torch.zeros(1, 3, 64, 64), Architecture.parse(text))


def test_dead_blocks_are_neither_built_nor_run():
    path, seen = PathEncoder(PUBLISHED, block="basic", channels=8).eval(), []
    assert len(path.blocks) == 12
    assert sorted(path.laterals) == ["1", "3"]
    supernet = MixedEncoder(block="basic", depth=13, channels=8).eval()
    for branch in supernet.blocks[12].branches.values():
        branch.register_forward_hook(lambda *_: seen.append("dead"))
    supernet(torch.zeros(1, 3, 64, 64), PUBLISHED)
    assert seen == []


def test_config_builds_the_encoder_again():
    path = PathEncoder(PUBLISHED, block="bottleneck", channels=8, base_stride=4, stem=16, residual_init=0.5)
    again = PathEncoder(**path.config)
    assert again.config == path.config
    assert again.state_dict().keys() == path.state_dict().keys()
