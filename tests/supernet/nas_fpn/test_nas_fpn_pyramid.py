"""Merging cells compute what the paper draws, at any width, depth, number of levels and image size."""

import numpy as np
import pytest
import torch
from torch import nn

from supernet.nas_fpn.cell_pyramid import MergingPyramid, global_pooling, resample
from supernet.nas_fpn.cell_space import CellSpace
from supernet.nas_fpn.plan_encoder import FpnLevelEncoder, NasFpnEncoder
from supernet.nas_fpn.pyramid_plan import DISCOVERED, PyramidPlan

LITE = PyramidPlan.parse("0,1,6,gp|0,4,3,sum|1,5,4,sum|2,6,5,gp|3,7,6,sum")


def features(levels=(3, 4, 5, 6, 7), channels=4, side=128):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, channels, side >> level, side >> level, generator=generator) for level in levels]


def without_convolutions(plan):
    """The pyramid with R-C-B taken out, so that only merging is left."""
    pyramid = MergingPyramid(plan, channels=4)
    pyramid.cells = nn.ModuleList(nn.Identity() for _ in plan.cells)
    return pyramid


def test_the_discovered_pyramid_written_out_by_hand():
    """Fig. 6, line by line; C3..C7 are the inputs."""
    c3, c4, c5, c6, c7 = features()
    x5 = global_pooling(resample(c6, -2), c4)
    x6 = c4 + x5
    p3 = c3 + resample(x6, -1)
    p4 = x6 + resample(p3, 1)
    p5 = global_pooling(resample(p4, 1), resample(p3, 2)) + c5
    p7 = global_pooling(resample(p5, 2), resample(x6, 3)) + c7
    p6 = global_pooling(resample(p7, -1), resample(p5, 1))
    outputs = without_convolutions(DISCOVERED)([c3, c4, c5, c6, c7])
    for output, expected in zip(outputs, (p3, p4, p5, p6, p7), strict=True):
        assert torch.equal(output, expected)


def test_gp_weights_the_other_input_by_the_sigmoid_of_the_global_maximum():
    carried = torch.tensor([[[[1.0, 3.0]], [[-2.0, -5.0]]]])  # [1, 2, 1, 2]
    weighted = torch.ones(1, 2, 1, 2)
    expected = carried + torch.sigmoid(torch.tensor([3.0, -2.0])).view(1, 2, 1, 1)
    assert torch.equal(global_pooling(carried, weighted), expected)


def test_resampling_pools_the_maximum_and_repeats_the_nearest():
    x = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    assert resample(x, 1).tolist() == [[[[4.0]]]]
    assert resample(x, -1)[0, 0, 0].tolist() == [1.0, 1.0, 2.0, 2.0]


def test_a_cell_ends_with_relu_convolution_and_norm():
    cell = MergingPyramid(DISCOVERED, channels=4).cells[0]
    assert [type(layer).__name__ for layer in cell] == ["ReLU", "Conv2d", "BatchNorm2d", "Identity"]


def test_a_pyramid_gives_the_shapes_that_it_takes():
    inputs = features()
    outputs = MergingPyramid(DISCOVERED, channels=4)(inputs)
    assert [x.shape for x in outputs] == [x.shape for x in inputs]


def test_stacks_share_no_weights():
    encoder = NasFpnEncoder(DISCOVERED, backbone="resnet10", channels=8, stacks=2, width=0.125)
    first, second = (set(map(id, pyramid.parameters())) for pyramid in encoder.pyramids)
    assert not first & second


@pytest.mark.parametrize("size", [(128, 128), (100, 300), (33, 1)])
@pytest.mark.parametrize("name", ["nas", "fpn"])
def test_any_image_size_gives_the_levels_of_the_padded_image(name, size):
    options = {"backbone": "resnet10", "channels": 8, "width": 0.125}
    encoder = (NasFpnEncoder(DISCOVERED, stacks=1, **options) if name == "nas" else FpnLevelEncoder(**options)).eval()
    height, width = (-(-side // 128) * 128 for side in size)
    with torch.no_grad():
        shapes = [tuple(x.shape) for x in encoder(torch.zeros(1, 3, *size))]
    assert shapes == [(1, 8, height >> level, width >> level) for level in range(3, 8)]


def test_the_lite_form_has_four_levels_and_depthwise_convolutions():
    encoder = NasFpnEncoder(LITE, backbone="mobilenetv2_100", channels=8, stacks=2, lite=True).eval()
    with torch.no_grad():
        shapes = [x.shape[-1] for x in encoder(torch.zeros(1, 3, 64, 64))]
    depthwise = [m for m in encoder.pyramids.modules() if isinstance(m, nn.Conv2d) and m.groups == 8]
    assert (shapes, encoder.divisor, len(depthwise)) == ([8, 4, 2, 1], 64, 2 * 5)


def test_c6_and_c7_are_max_pooled_from_the_projection():
    encoder = NasFpnEncoder(DISCOVERED, backbone="resnet10", channels=8, stacks=1, width=0.125).eval()
    seen = []
    encoder.pyramids[0].register_forward_pre_hook(lambda _, arguments: seen.extend(arguments[0]))
    with torch.no_grad():
        encoder(torch.rand(1, 3, 256, 256))
    assert torch.equal(seen[3], nn.functional.max_pool2d(seen[2], 2))
    assert torch.equal(seen[4], nn.functional.max_pool2d(seen[2], 4))


def test_every_stack_is_an_exit_and_later_stacks_do_not_run():
    encoder = NasFpnEncoder(DISCOVERED, backbone="resnet10", channels=8, stacks=3, width=0.125).eval()
    ran = []
    for number, pyramid in enumerate(encoder.pyramids):
        pyramid.register_forward_hook(lambda *_, number=number: ran.append(number))
    with torch.no_grad():
        exits = encoder.exits(torch.zeros(1, 3, 128, 128))
        next(exits), next(exits)
    assert ran == [0, 1]


@pytest.mark.parametrize("top_level", [4, 5, 6, 7])
def test_every_top_level_that_a_space_takes_is_one_that_its_text_and_its_detector_know(top_level):
    space = CellSpace(num_cells=6, top_level=top_level, channels=8, input_size=(256, 128))
    plan = space.decode(space.sample(np.random.default_rng(0)))
    assert space.parse(str(plan)) == plan
    with torch.device("meta"):
        shapes = {"backbone": "resnet10", "channels": 8, "width": 0.125}
        for encoder in (NasFpnEncoder(plan, stacks=2, **shapes), FpnLevelEncoder(top_level=top_level, **shapes)):
            sides = [x.shape[-1] for x in encoder(torch.empty(2, 3, 256, 128))]
            assert sides == [128 >> level for level in space.levels]


def test_later_fpn_stacks_read_all_levels_and_have_norms_on_all():
    first, second = FpnLevelEncoder(backbone="resnet10", channels=8, width=0.125, stacks=2).pyramids
    assert [len(part) for part in (first.laterals, first.extras, first.norms)] == [3, 2, 5]
    assert [len(part) for part in (second.laterals, second.extras, second.norms)] == [5, 0, 5]
