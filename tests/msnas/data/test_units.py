"""Boxes that are not COCO's pixels [x, y, width, height] are recognised, and sound ones never are."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from coco_folders import CocoFolder

from msnas.data.check.data_report import check_data
from msnas.data.fields import Box
from msnas.data.units import Objects, UnitFault, unit_fault

W, H = 640, 480
Write = Callable[[float, float, float, float], tuple[float, float, float, float]]
WRITTEN: dict[str, Write] = {
    "fractions": lambda x, y, w, h: (x / W, y / H, w / W, h / H),
    "percents": lambda x, y, w, h: (x / W * 100, y / H * 100, w / W * 100, h / H * 100),
    "corners": lambda x, y, w, h: (x, y, x + w, y + h),
    "centres": lambda x, y, w, h: (x + w / 2, y + h / 2, w, h),
    "height, width": lambda x, y, w, h: (y, x, h, w),
    "corners [y1, x1, y2, x2]": lambda x, y, w, h: (y, x, y + h, x + w),
    "a larger copy": lambda x, y, w, h: (3 * x, 3 * y, 3 * w, 3 * h),
}


ORDERS: dict[str, Write] = {
    "corners [x1, y1, x2, y2]": lambda x, y, w, h: (x, y, x + w, y + h),
    "centres": lambda x, y, w, h: (x + w / 2, y + h / 2, w, h),
    "corners [y1, x1, y2, x2]": lambda x, y, w, h: (y, x, y + h, x + w),
}


def _judged(
    write: Write, number: int = 60, *, area: bool = False, polygon: bool = False, scale: float = 1
) -> UnitFault | None:
    """Of boxes in images of 640 x 480, written so; scale: of the images."""
    rng, objects = np.random.default_rng(0), Objects()
    for _ in range(number):
        w, h = rng.uniform(40, 250, 2).tolist()
        x, y = rng.uniform(0, W - w), rng.uniform(0, H - h)
        shape: Any = [[scale * side for side in (x, y, x + w, y, x + w, y + h, x, y + h)]] if polygon else None
        size = round(scale * W), round(scale * H)
        objects.add(write(x, y, w, h), size, w * h * scale**2 if area else None, shape)
    return unit_fault(objects)


UNITS = [(1, "fractions"), (100, "percents"), (1000, "thousandths"), (1024, "1024ths")]


def _shares(order: str, whole: float) -> Write:
    """The order of numbers, each a share of the image of which `whole` is all."""
    return lambda x, y, w, h: ORDERS[order](x / W * whole, y / H * whole, w / W * whole, h / H * whole)


@pytest.mark.parametrize("name", WRITTEN)
def test_boxes_in_another_unit_are_refused_and_the_unit_is_named(name: str):
    fault = _judged(WRITTEN[name])
    assert fault is not None
    assert fault.severity == "refused"
    assert name in fault.got


@pytest.mark.parametrize("name", ["percents", "corners"])
def test_the_areas_of_a_few_objects_are_enough(name: str):
    fault = _judged(WRITTEN[name], 4, area=True)
    assert fault is not None
    assert (fault.severity, name in fault.got, "areas" in fault.got) == ("refused", True, True)


@pytest.mark.parametrize("name", ["centres", "height, width"])
def test_the_polygons_of_a_few_objects_are_enough(name: str):
    fault = _judged(WRITTEN[name], 4, polygon=True)
    assert fault is not None
    assert (fault.severity, name in fault.got) == ("refused", True)


@pytest.mark.parametrize(("share", "severity"), [(0.98, "refused"), (0.1, "noted")])
def test_fractions_are_refused_where_most_boxes_are_some(share: float, severity: str):
    objects = Objects()
    for number in range(100):
        fraction = number < 100 * share
        objects.add((0.2, 0.1, 0.4, 0.6) if fraction else (0.0, 0.0, 1.01, 0.9), (W, H), None, None)
    fault = unit_fault(objects)
    assert fault is not None
    assert (fault.severity, "fractions" in fault.got) == (severity, True)


@pytest.mark.parametrize("order", ["corners [x1, y1, x2, y2]", "centres"])
@pytest.mark.parametrize(("whole", "unit"), UNITS)
def test_the_order_of_shares_is_named_too(order: str, whole: float, unit: str):
    fault = _judged(_shares(order, whole))
    assert fault is not None
    assert (f"{unit} of the image" in fault.got, order in fault.got) == (True, True)
    assert fault.severity == ("noted" if (order, whole) == ("centres", 100) else "refused")


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("whole", "unit"), UNITS)
def test_polygons_tell_the_order_of_shares(order: str, whole: float, unit: str):
    fault = _judged(_shares(order, whole), 4, polygon=True)
    assert fault is not None
    assert (fault.severity, f"{unit} of the image" in fault.got, order in fault.got) == ("refused", True, True)


def test_corners_in_shares_may_have_y_first_and_that_is_said():
    fault = _judged(_shares("corners [y1, x1, y2, x2]", 1000))
    assert fault is not None
    assert "y may stand before x, as language models write it, or they may be 1024ths: draw some" in fault.got


@pytest.mark.parametrize(("order", "severity"), [("corners [x1, y1, x2, y2]", "refused"), ("centres", "noted")])
def test_thousandths_are_told_in_images_that_have_more_pixels(order: str, severity: str):
    fault = _judged(_shares(order, 1000), scale=3)
    assert fault is not None
    assert (fault.severity, "thousandths of the image" in fault.got, order in fault.got) == (severity, True, True)


@pytest.mark.parametrize("scale", [0.1, 0.25, 0.5, 1.5, 2, 3, 6])
def test_pixels_of_images_of_any_size_are_nothing_to_mention(scale: float):
    assert _judged(lambda *box: tuple(scale * side for side in box), scale=scale) is None  # type: ignore[arg-type, return-value]


def test_boxes_in_thousandths_are_refused_and_the_unit_is_named():
    fault = _judged(lambda x, y, w, h: (x / W * 1000, y / H * 1000, w / W * 1000, h / H * 1000))
    assert fault is not None
    assert (fault.severity, "thousandths" in fault.got) == ("refused", True)


@pytest.mark.parametrize("number", [1, 5, 60, 2000])
@pytest.mark.parametrize("area", [True, False])
def test_pixels_are_nothing_to_mention(number: int, area: bool):
    assert _judged(lambda *box: box, number, area=area) is None


def test_boxes_of_a_smaller_copy_are_noted():
    fault = _judged(lambda *box: tuple(side / 2 for side in box))  # type: ignore[arg-type, return-value]
    assert fault is not None
    assert fault.severity == "noted"
    assert "smaller copy" in fault.got


def test_empty_and_huge_boxes_say_nothing():
    objects = Objects()
    for box in ((0.0, 0.0, 0.0, 0.0), (-1e308, 0.0, 1.7e308, 9.0)):
        objects.add(box, (W, H), 1.0, None)
    assert unit_fault(objects) is None or unit_fault(objects).severity == "noted"  # type: ignore[union-attr]


def test_a_file_of_fractions_is_refused_with_the_remedy(folder: CocoFolder):
    for item in folder.train["annotations"]:
        item["bbox"] = [0.2, 0.3, 0.3, 0.4]
        item["area"] = 300
    report = check_data(folder.write().settings())
    [fault] = [fault for fault in report.faults if fault.severity == "refused"]
    assert not [fault for fault in report.faults if fault.field == "area"]  # which would only repeat it
    assert "fractions of the image" in fault.got
    assert "multiply" in fault.got


@pytest.mark.parametrize(
    ("area", "kept"), [(0, False), (1, False), (5000, False), (30, True), (300, True), (320, True)]
)
def test_an_area_that_no_mask_in_the_box_has_is_replaced(folder: CocoFolder, area: float, kept: bool):
    folder.train["annotations"][0]["area"] = area  # of a box of 20 x 15
    faults = check_data(folder.write().settings()).faults
    assert [fault.field for fault in faults] == ([] if kept else ["area"])


@pytest.mark.parametrize(("area", "taken"), [(0, 150), (5000, 150), (150, 150), (300, 300)])
def test_an_area_that_the_polygon_cannot_have_is_replaced_by_the_polygons(
    folder: CocoFolder, area: float, taken: float
):
    item = folder.train["annotations"][0]
    x, y, w, h = item["bbox"]  # 20 x 15, of which the triangle is half
    item |= {"area": area, "segmentation": [[x, y, x + w, y, x, y + h]]}
    from msnas.data.opening import open_data

    splits = open_data(folder.write().settings())
    assert splits.train.images[0].annotations[0].area == taken
    assert any("the area must be that of the mask" in note for note in splits.notes) == (area != taken)


def test_centres_of_small_objects_are_noted():
    rng, objects = np.random.default_rng(0), Objects()
    for number in range(40):
        w, h = rng.uniform(12, 30, 2).tolist()
        right = number % 8 == 0  # some stand at the border, as objects do
        x, y = (W - w if right else rng.uniform(0, W - w)), rng.uniform(0, H - h)
        objects.add((x + w / 2, y + h / 2, w, h), (W, H), None, None)
    fault = unit_fault(objects)
    assert fault is not None
    assert (fault.severity, "centres" in fault.got) == ("noted", True)


def test_the_same_box_of_the_same_class_is_dropped_once(folder: CocoFolder):
    again = folder.train["annotations"][0]
    folder.train["annotations"] += [again | {"id": 100}, again | {"id": 101, "category_id": 7}]
    faults = check_data(folder.write().settings()).faults
    assert [(fault.record, fault.severity) for fault in faults] == [("annotations[12] (id 100)", "repaired")]


def test_a_missing_box_is_taken_from_the_polygon(folder: CocoFolder):
    item = folder.train["annotations"][0]
    item |= {"segmentation": [[4, 6, 24, 6, 24, 21, 4, 21]]}
    box: Box = tuple(item.pop("bbox"))
    from msnas.data.opening import open_data

    splits = open_data(folder.write().settings())
    assert splits.train.images[0].annotations[0].bbox == box
    assert any("bounds of the segmentation" in note for note in splits.notes)


def test_only_crowds_are_told(folder: CocoFolder):
    for item in folder.train["annotations"]:
        item["iscrowd"] = 1
    report = check_data(folder.write().settings())
    assert [fault.got for fault in report.faults] == [
        "only crowd regions (12 with iscrowd 1), of which nothing is learned"
    ]
