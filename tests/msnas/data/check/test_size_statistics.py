"""Which head gets what, and which boxes an anchor reaches."""

import numpy as np
import pytest
import torch
from coco_folders import real_data
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import box_iou

from msnas.data.check.object_sizes import (
    Boxes,
    Fit,
    anchor_recall,
    collect_boxes,
    empty_groups,
    group_shares,
    head_choices,
    suggest,
)
from msnas.data.geometry import anchor_hits, padded_size, resized_size, typical_input
from msnas.data.settings import DataSettings
from msnas.data.size_groups import SizeGroups
from msnas.data.source import read_source
from msnas.detectors.rpn import Anchors


def _real_boxes(name: str, short_side: int) -> Boxes:
    source = read_source(DataSettings(root=str(real_data(name))))
    images = [image for part in source.parts for image in part.images]
    return collect_boxes(images, short_side, round(short_side * 1333 / 800))


@pytest.mark.parametrize(
    ("short_side", "heads", "published"),
    [
        (128, (4, 8, 16, 32, 64), 0.32), (128, (8, 8, 16, 16, 32), 0.34), (128, (4, 4, 8, 16, 32), 0.75),
        (416, (4, 8, 16, 32, 64), 0.94), (416, (8, 8, 16, 16, 32), 0.90), (416, (4, 4, 8, 16, 32), 0.94),
    ],
)  # fmt: skip
def test_anchor_recall_of_aquarium_is_as_measured(short_side: int, heads: tuple[int, ...], published: float):
    recall = anchor_recall(_real_boxes("aquarium", short_side), 4, SizeGroups.paper(short_side).anchors)
    assert recall.choices[heads] == pytest.approx(published, abs=0.016)


@pytest.mark.parametrize("stride", [4, 16])
@pytest.mark.parametrize("group", [0, 2, 4])
def test_nearest_anchor_decides_as_the_whole_grid_of_the_detector_does(stride: int, group: int):
    rng = np.random.default_rng(stride + group)
    corner = rng.uniform(0, 150, (300, 2))
    boxes = np.concatenate([corner, corner + np.exp(rng.uniform(0.5, 5, (300, 2)))], axis=1)
    boxes = np.minimum(boxes, 191)
    boxes = boxes[(boxes[:, 2:] - boxes[:, :2]).min(axis=1) > 0.5]
    generator = Anchors(((32.0 * 2**group * 0.24,),), ((0.5, 1.0, 2.0),))
    images = ImageList(torch.zeros(1, 3, 192, 192), [(192, 192)])
    grid = generator(images, [torch.zeros(1, 1, 192 // stride, 192 // stride)])[0]
    expected = box_iou(torch.tensor(boxes), grid.double()).max(dim=1).values.numpy()
    grids = np.full((len(boxes), 2), 192)
    for threshold in (0.3, 0.5, 0.7):
        clear = abs(expected - threshold) > 1e-6
        hits = anchor_hits(boxes, grids, (stride,), SizeGroups.paper(192).anchors, threshold)[group, 0]
        np.testing.assert_array_equal(hits[clear], (expected >= threshold)[clear])


def test_groups_follow_the_rule_at_its_borders():
    sides = np.array([1, 55.9, 56, 111.9, 112, 223.9, 224, 447.9, 448, 5000])
    assert SizeGroups.paper(800).of(sides**2).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_shares_add_up_and_scale_with_the_image():
    groups = group_shares(_real_boxes("aquarium", 400), SizeGroups.paper(400))
    assert sum(group.boxes for group in groups) == 1644 + 852
    assert sum(group.share for group in groups) == pytest.approx(1)
    assert [group.low for group in groups] == [0, 28, 56, 112, 224]
    assert groups[-1].high is None


@pytest.mark.parametrize("base_stride", [4, 2])
def test_head_choices_are_those_of_equation_7(base_stride: int):
    choices = head_choices(base_stride)
    assert len(set(choices)) == len(choices) == 103
    for heads in choices:
        assert list(heads) == sorted(heads)
        assert heads[0] <= 2 * base_stride <= heads[-1]
        assert heads[0] != heads[-1]
    assert tuple(stride * base_stride // 4 for stride in (8, 8, 16, 16, 32)) in choices


def suggested(boxes: Boxes, configured: Fit) -> Fit:
    recalls = {stride: anchor_recall(boxes, stride, configured.groups.anchors) for stride in (4, 2)}
    return suggest(boxes, configured, recalls).fit


@pytest.mark.parametrize(("short_side", "base_stride"), [(128, 2), (416, 2), (800, 4)])
def test_small_images_are_suggested_a_finer_base_stride(short_side: int, base_stride: int):
    boxes = _real_boxes("aquarium", short_side)
    assert suggested(boxes, Fit.of(short_side)).base_stride == base_stride


def test_suggested_scales_fit_boxes_of_one_size():
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 700, (500, 2))
    boxes = Boxes(np.concatenate([corner, corner + rng.uniform(9, 11, (500, 2))], axis=1), np.full((500, 2), 832))
    configured = Fit.of(800)
    found = suggested(boxes, configured)
    before = anchor_recall(boxes, found.base_stride, configured.groups.anchors).mean
    assert anchor_recall(boxes, found.base_stride, found.groups.anchors).mean > before + 0.05
    assert found.anchor_scale < configured.anchor_scale
    assert found.base_scale < configured.base_scale


def test_what_was_suggested_is_suggested_again():
    boxes = _real_boxes("aquarium", 128)
    found = suggested(boxes, Fit.of(128))
    assert suggested(boxes, found) == found


def test_large_data_is_sampled():
    boxes = Boxes(np.tile([[5.0, 5, 40, 40]], (100_000, 1)), np.full((100_000, 2), 64))
    assert len(boxes.sample().xyxy) == 20_000


def test_groups_with_hardly_a_box_are_named():
    boxes = _boxes_of([100.0] * 99 + [300])
    said = empty_groups(group_shares(boxes, SizeGroups.paper(800)))
    assert said.startswith("Less than 1% of the boxes are in group 1, 3, 5: detector.groups=data")


def test_groups_that_all_have_boxes_are_not_spoken_of():
    boxes = _boxes_of([20.0, 80, 150, 300, 500])
    assert empty_groups(group_shares(boxes, SizeGroups.paper(800))) == ""


def test_suggestions_leave_groups_that_boxes_have_placed():
    boxes = _boxes_of([8.0, 10, 12, 14, 16, 18] * 50)
    configured = Fit(4, 1.0, 224.0, SizeGroups.of_boxes(boxes.areas))
    found = suggested(boxes, configured)
    assert (found.placed, found.anchor_scale, found.base_scale) == (configured.placed, 1.0, 224.0)


def _boxes_of(sides: list[float]) -> Boxes:
    return Boxes(np.array([[0.0, 0, side, side] for side in sides]), np.full((len(sides), 2), 832))


def test_the_typical_input_is_what_most_images_are_padded_to():
    sizes = [(480, 640)] * 3 + [(640, 480)] * 3 + [(500, 500)] * 5
    assert typical_input(sizes, 800, 1333, 64) == (832, 1088)
    assert padded_size(*resized_size(480, 640, 800, 1333)) == (832, 1088)
