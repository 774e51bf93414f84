"""Which group a region belongs to, and what is pooled from there."""

import pytest
import torch
from torchvision.ops import roi_align

from msnas.data.size_groups import SizeGroups
from msnas.detectors.box_head import BoxPredictor, make_box_head
from msnas.detectors.roi import GroupRoIAlign
from supernet.cost import Cost
from supernet.mac_counter import count_macs, count_params
from supernet.strides.first_stage_cost import box_head_cost

PAPER, SMALL = (56, 112, 224, 448), (6, 12, 24, 48)


def square(side, at=0.0):
    return [at, at, at + side, at + side]


@pytest.mark.parametrize(
    ("side", "group"),
    [
        (10, 0),
        (27.9, 0),
        (28, 0),
        (55.9, 0),
        (56, 1),
        (111.9, 1),
        (112, 2),
        (223.9, 2),
        (224, 3),
        (447.9, 3),
        (448, 4),
    ],
)
def test_groups_of_the_paper_at_800_pixels(side, group):
    pool = GroupRoIAlign(PAPER, output_size=7, divisor=64)
    assert pool.groups_of([torch.tensor([square(side)])]).tolist() == [group]


@pytest.mark.parametrize(("side", "level"), [(10, 0), (111.9, 0), (112, 1), (224, 2), (448, 3), (4000, 3)])
def test_levels_of_an_fpn_are_clamped_to_p2_and_p5(side, level):
    pool = GroupRoIAlign(PAPER[1:], output_size=7, divisor=64)
    assert pool.groups_of([torch.tensor([square(side)])]).tolist() == [level]


def test_groups_scale_with_the_image():
    pool = GroupRoIAlign(SizeGroups.paper(128).borders, output_size=7, divisor=64)
    sides = [8.9, 9.0, 17.9, 18.0, 35.8, 35.9, 71.6, 71.7]
    assert pool.groups_of([torch.tensor([square(s) for s in sides])]).tolist() == [0, 1, 1, 2, 2, 3, 3, 4]


def test_a_region_is_pooled_from_its_groups_feature_at_its_true_stride():
    strides = (8, 8, 16, 16, 32)
    features = {str(i): torch.rand(2, 3, 64 // s, 128 // s) for i, s in enumerate(strides)}
    pool = GroupRoIAlign(SMALL, output_size=2, divisor=64)
    boxes = [torch.tensor([square(40, 5), square(5, 9)]), torch.tensor([square(13, 3), square(60)])]
    pooled = pool(features, boxes, [(33, 60), (40, 110)])  # unpadded, so that 33 / 64 would mislead
    expected = [(0, square(40, 5), 3), (0, square(5, 9), 0), (1, square(13, 3), 2), (1, square(60), 4)]
    for row, (image, box, group) in zip(pooled, expected, strict=True):
        region = torch.tensor([[float(image), *box]])
        by_hand = roi_align(features[str(group)], region, 2, 1 / strides[group], sampling_ratio=2)
        assert torch.equal(row, by_hand[0])


def test_paths_of_other_strides_are_pooled_with_theirs():
    pool, box = (
        GroupRoIAlign(SMALL, output_size=2, divisor=64),
        [torch.tensor([square(30)])],
    )
    ramp = torch.arange(64.0).view(1, 1, 1, 64).expand(1, 1, 64, 64)
    fine = pool(dict.fromkeys("01234", ramp), box, [(64, 64)])
    coarse = pool(dict.fromkeys("01234", ramp[:, :, ::4, ::4]), box, [(64, 64)])
    torch.testing.assert_close(fine, coarse, rtol=0, atol=4)
    assert coarse[0, 0, 0, 1] > 16


def test_no_region_gives_an_empty_batch():
    features = dict.fromkeys("01234", torch.rand(1, 3, 8, 8, requires_grad=True))
    pooled = GroupRoIAlign(SMALL, output_size=7, divisor=64)(features, [torch.zeros(0, 4)], [(64, 64)])
    assert pooled.shape == (0, 3, 7, 7)


@pytest.mark.parametrize("kind", ["2conv1fc", "4conv1fc"])
def test_box_head_costs_what_the_closed_form_says(kind):
    with torch.device("meta"):
        head, predictor = make_box_head(kind, 24, channels=32, fc_channels=40).eval(), BoxPredictor(40, 4)
        macs = count_macs(head, torch.zeros(10, 24, 7, 7)) + count_macs(predictor, torch.zeros(10, 40))
    expected = box_head_cost(kind, in_channels=24, channels=32, fc_channels=40, num_classes=3, rois=10)
    assert Cost(macs, count_params(head) + count_params(predictor)) == expected
