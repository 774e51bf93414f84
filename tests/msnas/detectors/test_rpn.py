"""Anchors by hand, heads shared or not, and what they cost."""

import pytest
import torch
from torchvision.models.detection.image_list import ImageList

from msnas.data.geometry import ANCHOR_SIZES
from msnas.detectors.rpn import GroupHeads, make_rpn
from supernet.cost import Cost
from supernet.mac_counter import count_macs, count_params
from supernet.strides.first_stage_cost import rpn_head_cost


def anchors_of(strides, size, sizes=ANCHOR_SIZES):
    rpn = make_rpn(8, 5, shared=False, anchor_sizes=sizes, batch=64, pre_nms=(9, 9), post_nms=(9, 9))
    maps = [torch.zeros(1, 8, size[0] // s, size[1] // s) for s in strides]
    [anchors] = rpn.anchor_generator(ImageList(torch.zeros(1, 3, *size), [(size[0] - 9, size[1] - 3)]), maps)
    return anchors.split([3 * m.shape[-2] * m.shape[-1] for m in maps])


def test_square_anchors_are_32_to_512_whatever_stride_a_group_reads():
    for group, anchors in enumerate(anchors_of((8, 8, 16, 16, 32), (64, 128))):
        half = 16 * 2**group
        assert anchors[1].tolist() == [-half, -half, half, half]


def test_anchors_of_a_ratio_keep_their_area():
    sizes = (5.0, 9.5, 20.0, 30.0, 80.0)
    for size, anchors in zip(sizes, anchors_of((4, 8, 16, 32, 64), (64, 128), sizes), strict=True):
        width, height = (anchors[:3, 2:] - anchors[:3, :2]).T
        torch.testing.assert_close(height / width, torch.tensor([0.5, 1.0, 2.0]))
        torch.testing.assert_close(width * height, torch.full((3,), size**2))


@pytest.mark.parametrize("strides", [(4, 8, 16, 32, 64), (8, 8, 16, 16, 32)])
def test_anchors_stand_at_multiples_of_the_stride_also_in_padded_images(strides):
    for stride, anchors in zip(strides, anchors_of(strides, (128, 192)), strict=True):
        centres = (anchors[1::3, :2] + anchors[1::3, 2:]) / 2
        assert centres[0].tolist() == [0, 0]
        assert centres[1].tolist() == [stride, 0]
        assert centres[-1].tolist() == [192 - stride, 128 - stride]


def test_groups_that_read_one_feature_predict_differently():
    heads, feature = GroupHeads(8, 5, shared=False), torch.rand(1, 8, 4, 4)
    scores, deltas = heads([feature] * 5)
    assert len({tuple(score.flatten().tolist()) for score in scores}) == 5
    assert [tuple(delta.shape) for delta in deltas] == [(1, 12, 4, 4)] * 5


def test_a_shared_head_predicts_the_same_of_the_same():
    scores, _ = GroupHeads(8, 5, shared=True)([torch.ones(1, 8, 4, 4)] * 5)
    assert all(torch.equal(score, scores[0]) for score in scores)


@pytest.mark.parametrize("shared", [False, True])
def test_heads_cost_what_the_closed_form_says(shared):
    with torch.device("meta"):
        heads = GroupHeads(24, 5, shared=shared)
        built = Cost(count_macs(heads, [torch.zeros(1, 24, 4, 8)] * 5), count_params(heads))
    one = rpn_head_cost(24, 32)
    assert built == Cost(5 * one.macs, one.params * (1 if shared else 5))
