"""Which objects a detector finds, by their size: its recall of each group of sizes at IoU 0.5."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from msnas.data.geometry import GROUPS, Floats, resized_size
from msnas.data.size_groups import SizeGroups

FOUND = 0.5  # IoU from which on a detection of an object's class finds it


def group_recall(
    ground_truth: Any, detections: Sequence[Mapping[str, Any]], groups: SizeGroups, short_side: int, long_side: int
) -> list[float | None]:
    """For each of the five groups the share of its objects that any detection finds, None where it has no object.

    ground_truth: a pycocotools COCO object, whose crowds do not count; detections: COCO results, of every score, boxes
    as xywh in pixels of the files. short_side, long_side: what images are resized to, where `groups` measures sizes.
    """
    boxes = defaultdict(list)
    for detection in detections:
        boxes[detection["image_id"], detection["category_id"]].append(detection["bbox"])
    areas, found = [], []
    for item in ground_truth.dataset["annotations"]:
        if item.get("iscrowd"):
            continue
        image = ground_truth.imgs[item["image_id"]]
        height, width = resized_size(image["height"], image["width"], short_side, long_side)
        *_, w, h = item["bbox"]
        areas.append(w * h * (height / image["height"]) * (width / image["width"]))
        near = np.array(boxes[item["image_id"], item["category_id"]], np.float64).reshape(-1, 4)
        found.append(bool((_ious(np.array(item["bbox"], np.float64), near) >= FOUND).any()))
    held, hits = groups.of(np.array(areas, np.float64)), np.array(found, np.float64)
    return [float(hits[held == group].mean()) if (held == group).any() else None for group in range(GROUPS)]


def _ious(box: Floats, others: Floats) -> Floats:
    """IoU of `box` [4] with each of `others` [n, 4], all xywh; [n]."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[:2] + box[2:], others[:, :2] + others[:, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=1)
    ious: Floats = shared / (np.prod(box[2:]) + np.prod(others[:, 2:], axis=1) - shared)
    return ious
