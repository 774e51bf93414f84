"""The recall of each group of sizes, by hand."""

from types import SimpleNamespace

import pytest

from msnas.data.group_recall import group_recall
from msnas.data.size_groups import SizeGroups

GROUPS = SizeGroups.paper(800)  # borders 56, 112, 224, 448


def recall(truth, found, size=(800, 1000)):
    """truth: (category, xywh, crowd); found: (category, xywh); all in one image of (height, width) `size`."""
    annotations = [{"image_id": 7, "category_id": c, "bbox": box, "iscrowd": crowd} for c, box, crowd in truth]
    known = SimpleNamespace(imgs={7: {"height": size[0], "width": size[1]}}, dataset={"annotations": annotations})
    detections = [{"image_id": 7, "category_id": c, "bbox": box, "score": 0.1} for c, box in found]
    return group_recall(known, detections, GROUPS, 800, 1333)


def test_each_group_has_the_share_of_its_objects_that_is_found():
    truth = [(1, [0, 0, 30, 30], 0), (1, [100, 0, 30, 30], 0), (2, [0, 200, 300, 300], 0)]
    assert recall(truth, [(1, [0, 0, 30, 32]), (2, [0, 200, 300, 300])]) == [0.5, None, None, 1.0, None]


@pytest.mark.parametrize(("width", "share"), [(60, 1.0), (61, 0.0)])
def test_an_object_is_found_from_an_iou_of_one_half_on(width, share):
    assert recall([(1, [0, 0, 30, 30], 0)], [(1, [0, 0, width, 30])])[0] == share


def test_a_detection_of_another_class_finds_nothing():
    assert recall([(1, [0, 0, 30, 30], 0)], [(2, [0, 0, 30, 30])])[0] == 0.0


def test_crowds_do_not_count():
    assert recall([(1, [0, 0, 30, 30], 1)], [(1, [0, 0, 30, 30])]) == [None] * 5


def test_sizes_are_those_of_the_resized_image():
    assert recall([(1, [0, 0, 30, 30], 0)], [], size=(200, 250)) == [None, None, 0.0, None, None]  # 120 pixels


def test_without_a_detection_nothing_is_found():
    assert recall([(1, [0, 0, 500, 500], 0)], []) == [None] * 4 + [0.0]
