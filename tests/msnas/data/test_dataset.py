"""What a detector gets: pixels and targets, and the way back to COCO results."""

import pickle

import numpy as np
import pytest
import torch
from coco_folders import CocoFolder, real_data
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from torchvision.ops import box_area, clip_boxes_to_image

from msnas.data.augmentation import augment
from msnas.data.images import read_rgb
from msnas.data.opening import DetectionDataset, open_data
from msnas.data.settings import DataSettings
from msnas.errors import DataError

# pycocotools decodes by a protocol that numpy 2 warns about
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture
def data(folder: CocoFolder) -> DetectionDataset:
    return open_data(folder.write().settings()).train


def test_labels_follow_the_order_of_category_ids(data: DetectionDataset):
    assert data.category_ids == [3, 7]
    assert data.classes == ["crab", "fish"]
    assert data.load(0)[1]["labels"].tolist() == [1, 2]


def test_boxes_are_scaled_with_the_image(data: DetectionDataset):
    image, target = data.load(0)
    assert image.shape == (3, 32, 43)
    expected = torch.tensor([[4, 6, 24, 21], [14, 6, 37, 21]]) * torch.tensor([43 / 64, 32 / 48] * 2)
    torch.testing.assert_close(target["boxes"], expected)
    torch.testing.assert_close(target["area"], torch.tensor([300.0, 345.0]) * 43 / 64 * 32 / 48)


def test_images_decoded_once_equal_images_decoded_on_demand(folder: CocoFolder):
    folder.write()
    memory = open_data(folder.settings()).train
    demand = open_data(folder.settings(memory_limit=0)).train
    assert memory.memory == 6 * 3 * 32 * 43
    assert demand.memory == 0
    for index in range(6):
        assert torch.equal(memory.load(index)[0], demand.load(index)[0])


def test_workers_change_no_pixel(folder: CocoFolder):
    folder.write()
    alone, many = (open_data(folder.settings(workers=workers)).train for workers in (0, 3))
    assert all(torch.equal(alone.load(i)[0], many.load(i)[0]) for i in range(6))


def test_loaded_pixels_belong_to_the_caller(data: DetectionDataset):
    data.load(0)[0].zero_()
    assert data.load(0)[0].any()


def test_crowds_are_in_the_ground_truth_and_in_no_target(folder: CocoFolder):
    folder.train["annotations"][1]["iscrowd"] = 1
    data = open_data(folder.write().settings()).train
    target = data.load(0)[1]
    assert len(target["boxes"]) == 1
    assert "iscrowd" not in target  # at it a GPU would be waited for
    assert data.ground_truth().anns[2]["iscrowd"] == 1


def test_ground_truth_holds_what_the_file_holds(folder: CocoFolder):
    data = open_data(folder.write().settings()).val
    whole = COCO(str(folder.root / "val.json"))
    truth = data.ground_truth()
    assert truth.anns == whole.anns
    assert truth.imgs == whole.imgs
    assert truth.getCatIds() == [3, 7]


def test_results_go_back_to_original_pixels_and_ids(data: DetectionDataset):
    target = data.load(2)[1]
    output = {"boxes": target["boxes"], "labels": target["labels"], "scores": torch.tensor([0.5, 0.25])}
    first, second = data.results(2, output)
    assert first["image_id"] == 3
    assert (first["category_id"], second["category_id"]) == (3, 7)
    assert first["bbox"] == pytest.approx([4, 8, 20, 15], abs=1e-5)
    assert second["score"] == 0.25


def test_no_detection_is_no_result(data: DetectionDataset):
    empty = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64), "scores": torch.zeros(0)}
    assert data.results(0, empty) == []


def test_a_subset_shares_the_pixels(data: DetectionDataset):
    part = data.subset([4, 1])
    assert part.image_ids == [5, 2]
    assert torch.equal(part.load(0)[0], data.load(4)[0])
    assert part.memory == data.memory


def test_a_pickled_data_set_loads_the_same(data: DetectionDataset):
    again = pickle.loads(pickle.dumps(data))
    assert torch.equal(again.load(3)[0], data.load(3)[0])
    assert torch.equal(again.load(3)[1]["boxes"], data.load(3)[1]["boxes"])


def test_threads_read_images_beforehand_where_memory_does_not_hold_them(folder: CocoFolder):
    folder.write()
    assert open_data(folder.settings(memory_limit=0, workers=3)).train.readers == 3
    assert open_data(folder.settings(workers=3)).train.readers == 0


def test_images_without_boxes_are_trained_on(folder: CocoFolder):
    folder.train["annotations"] = folder.train["annotations"][4:]
    folder.write()
    assert len(open_data(folder.settings()).train) == 6
    boxes = open_data(folder.settings()).train.load(0)[1]["boxes"]
    assert boxes.shape == (0, 4)


def test_an_image_that_breaks_later_is_one_clear_error(folder: CocoFolder):
    data = open_data(folder.write().settings(memory_limit=0)).train
    (folder.images / "train2.png").write_bytes(b"gone")
    with pytest.raises(DataError, match=r"train\.json: images\[2\] \(id 3\), file_name"):
        data.load(2)


def test_masks_follow_polygons_and_run_lengths(folder: CocoFolder):
    mask = np.zeros((48, 64), np.uint8, order="F")
    mask[12:24, 16:48] = 1
    rle = coco_mask.encode(mask)
    for item in folder.train["annotations"]:
        item["segmentation"] = {"size": [48, 64], "counts": rle["counts"].decode()}
    folder.train["annotations"][0]["segmentation"] = [[16, 12, 48, 12, 48, 24, 16, 24]]
    folder.val = folder.train
    folder.write()
    masks = open_data(folder.settings(short_side=96, long_side=128, masks=True)).train.load(0)[1]["masks"]
    assert masks.dtype == torch.uint8
    expected = torch.zeros(96, 128, dtype=torch.uint8)
    expected[24:48, 32:96] = 1
    assert torch.equal(masks[0], expected)
    assert torch.equal(masks[1], expected)


def test_predicted_masks_go_back_to_the_original_size(folder: CocoFolder):
    data = open_data(folder.write().settings(short_side=24, long_side=32)).train
    probability = torch.ones(1, 1, 28, 28)
    output = {"boxes": torch.tensor([[8.0, 6, 24, 12]]), "labels": torch.tensor([1]), "scores": torch.ones(1)}
    row = data.results(0, output | {"box_masks": probability})[0]
    assert coco_mask.toBbox(row["segmentation"]).tolist() == pytest.approx([16, 12, 32, 12], abs=4)
    assert isinstance(row["segmentation"]["counts"], str)


def test_flipping_twice_is_nothing(data: DetectionDataset):
    image, target = data.load(0)
    once = augment(image, target, 1, flip=1.0)
    twice = augment(*once, 1, flip=1.0)
    assert torch.equal(once[0], image.flip(-1))
    assert torch.equal(twice[0], image)
    torch.testing.assert_close(twice[1]["boxes"], target["boxes"])


def test_jitter_scales_image_boxes_area_and_masks_alike(data: DetectionDataset):
    image, target = data.load(0)
    target["masks"] = torch.ones(2, 32, 43, dtype=torch.uint8)
    bigger, moved = augment(image, target, 1, flip=0.0, jitter=(2.0, 2.0))
    assert bigger.shape == (3, 64, 86)
    assert moved["masks"].shape == (2, 64, 86)
    torch.testing.assert_close(moved["boxes"], target["boxes"] * 2)
    torch.testing.assert_close(moved["area"], target["area"] * 4)


def test_what_jitter_enlarged_is_cut_to_the_size_before(data: DetectionDataset):
    image, target = data.load(0)
    whole, everything = augment(image, target, 1, flip=0.0, jitter=(2.0, 2.0))
    window, seen = augment(image, target, 1, flip=0.0, jitter=(2.0, 2.0), crop=True)
    assert window.shape == image.shape
    height, width = window.shape[-2:]
    places = [
        (top, left)
        for top in range(whole.shape[-2] - height + 1)
        for left in range(whole.shape[-1] - width + 1)
        if torch.equal(whole[:, top : top + height, left : left + width], window)
    ]
    [(top, left)] = places
    moved = everything["boxes"] - torch.tensor([left, top, left, top])
    clipped = clip_boxes_to_image(moved, (height, width))
    kept = ((clipped[:, 2:] - clipped[:, :2]) >= 1).all(1)
    assert torch.equal(seen["boxes"], clipped[kept])
    assert torch.equal(seen["labels"], everything["labels"][kept])
    assert torch.equal(seen["area"], everything["area"][kept] * (box_area(clipped) / box_area(moved))[kept])


def test_what_jitter_made_smaller_is_not_cut(data: DetectionDataset):
    image, target = data.load(0)
    plain, cut = (augment(image, target, 1, flip=0.0, jitter=(0.5, 0.5), crop=crop) for crop in (False, True))
    assert torch.equal(plain[0], cut[0])
    assert torch.equal(plain[1]["boxes"], cut[1]["boxes"])


def test_augmentation_leaves_what_it_was_given(data: DetectionDataset):
    image, target = data.load(0)
    before, boxes = image.clone(), target["boxes"].clone()
    augment(image, target, 3, flip=1.0, jitter=(0.5, 0.7))
    assert torch.equal(image, before)
    assert torch.equal(target["boxes"], boxes)


@pytest.mark.parametrize(
    ("name", "train", "val", "boxes"), [("aquarium", 224, 95, 1644), ("bccd", 292, 72, 3941), ("coco_cc", 84, 58, 635)]
)
def test_real_data_is_read_whole(name: str, train: int, val: int, boxes: int):
    splits = open_data(DataSettings(root=str(real_data(name)), short_side=32, long_side=64, workers=2))
    assert (len(splits.train), len(splits.val)) == (train, val)
    assert sum(len(image.annotations) for image in splits.train.images) == boxes


def test_masks_of_real_data_equal_those_of_pycocotools():
    root = real_data("coco_cc")
    data = open_data(DataSettings(root=str(root), short_side=640, long_side=640, masks=True, memory_limit=0)).val
    truth = COCO(str(root / "val.json"))
    whole = [i for i in range(len(data)) if data.size(i) == (data.images[i].height, data.images[i].width)]
    for index in whole[:10]:
        masks = data.load(index)[1]["masks"]
        for mask, item in zip(masks, data.images[index].annotations, strict=True):
            np.testing.assert_array_equal(mask.numpy(), truth.annToMask(truth.anns[item.id]))
    assert whole


def test_pixels_are_those_of_the_file(folder: CocoFolder):
    data = open_data(folder.write().settings(short_side=48)).train
    pixels = read_rgb(data.file(1), 64, 48)
    np.testing.assert_array_equal(data.load(1)[0].permute(1, 2, 0).numpy(), pixels)
