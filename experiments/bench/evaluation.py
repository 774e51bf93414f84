"""What evaluating a detector costs beside the bare loop, and what its AP costs beside pycocotools'.

Run by `make bench`: `rows` of 500 drawn images, read from their files, and `ap_rows` of 500,000 detections.
"""

import contextlib
import io
import tempfile
from typing import Any

import numpy as np
import torch
from pycocotools.coco import COCO
from supernet_step import PATH, ours
from timing import Row, Target, in_turn, ratio_row
from torchvision.models.detection.roi_heads import paste_masks_in_image

from msnas.data.coco_eval import CocoScores
from msnas.data.coco_eval import evaluate as score
from msnas.data.opening import open_data
from msnas.data.predicted_masks import run_lengths
from msnas.data.segmentation import encode
from msnas.data.settings import DataSettings
from msnas.engine.evaluation import evaluate
from supernet.strides.stride_encoder import PathEncoder

CLASSES, AN_IMAGE = 80, 100


def rows(tiny: bool) -> list[Row]:
    """`evaluate` beside a plain loop that reads each batch, runs the detector, and has the COCO numbers in the end."""
    images, rounds = (10, 1) if tiny else (500, 3)
    with tempfile.TemporaryDirectory() as folder:
        drawing = {"name": "shapes", "root": folder, "size": 128, "train": 50, "val": images, "workers": 1}
        settings = {**drawing, "short_side": 128, "long_side": 213, "memory_limit": 0, "search_val": {"minimum": 1}}
        data = open_data(DataSettings.from_mapping(settings)).val
        torch.manual_seed(0)
        encoder = PathEncoder(PATH, block="basic", channels=32)
        model = ours(encoder, 128, classes=len(data.classes), long_side=213).eval()

        @torch.inference_mode()
        def bare() -> None:
            found: list[dict[str, Any]] = []
            for start in range(0, len(data), 8):
                indices = range(start, min(start + 8, len(data)))
                outputs = model([data.load(i)[0] for i in indices])
                found += [row for i, output in zip(indices, outputs, strict=True) for row in data.results(i, output)]
            score(data.ground_truth(), found)

        seconds = in_turn({"evaluate": lambda: evaluate(model, data, batch=8), "bare loop": bare}, rounds)
    return [ratio_row(f"evaluation of {images} images", seconds, "evaluate", "bare loop", Target(1.1))]


def ap_rows(tiny: bool) -> list[Row]:
    """The twelve numbers of random detections by hotcoco beside pycocotools, and how far apart they are."""
    images, rounds = (20, 1) if tiny else (5000, 2)
    truth, detections = drawn_detections(images)
    scores: dict[str, CocoScores] = {}

    def by(backend: Any) -> None:
        scores[backend] = score(truth, detections, backend=backend)

    works = {"hotcoco": lambda: by("hotcoco"), "pycocotools": lambda: by("pycocotools")}
    seconds = in_turn(works, rounds, warm=0)
    ours_, theirs = scores["hotcoco"].numbers, scores["pycocotools"].numbers
    apart = max(abs(ours_[name] - theirs[name]) for name in theirs)
    assert apart <= 1e-9, f"the twelve numbers must be equal, but are {apart} apart"
    return [ratio_row(f"AP of {len(detections):,} detections, numbers equal", seconds, "hotcoco", "pycocotools")]


def mask_rows(tiny: bool) -> list[Row]:
    """Masks of one 800x1066 image as COCO results of 480x640, beside each pasted, resized and encoded by itself."""
    number, rounds, canvas, size = (2 if tiny else 100), (1 if tiny else 10), (800, 1066), (480, 640)
    generator = torch.Generator().manual_seed(0)
    sides = (100 * torch.exp(0.8 * torch.randn(number, 2, generator=generator))).clamp(8, 700)
    centres, limit = torch.rand(number, 2, generator=generator), torch.tensor(canvas[::-1])
    boxes = torch.cat([(centres * limit - sides / 2).clamp(min=0), (centres * limit + sides / 2).minimum(limit)], 1)
    logits = 1 + 4 * torch.randn(number, 1, 5, 5, generator=generator)
    masks = torch.nn.functional.interpolate(logits, (28, 28), mode="bilinear").sigmoid()

    def one_by_one() -> list[dict[str, Any]]:
        whole = paste_masks_in_image(masks, boxes, canvas)
        bits = [torch.nn.functional.interpolate(mask[None], size, mode="bilinear")[0, 0] > 0.5 for mask in whole]
        return [encode(mask.numpy().astype(np.uint8)) for mask in bits]

    assert run_lengths(masks, boxes, canvas, size) == one_by_one(), "the run lengths must be equal"
    works = {"around boxes": lambda: run_lengths(masks, boxes, canvas, size), "whole images": one_by_one}
    seconds = in_turn(works, rounds)
    return [ratio_row(f"{number} masks of an image, equal", seconds, "around boxes", "whole images", Target(0.2))]


def drawn_detections(images: int) -> tuple[Any, list[dict[str, Any]]]:
    """Seven objects an image in 80 classes; a hundred detections an image, a third of them near an object."""
    rng, truth, detections = np.random.default_rng(0), [], []
    for image in range(1, images + 1):
        corners, sides = rng.uniform(0, 400, (7, 2)), rng.uniform(5, 200, (7, 2))
        boxes, classes = np.hstack([corners, sides]), rng.integers(1, CLASSES + 1, 7)
        for box, class_ in zip(boxes.tolist(), classes.tolist(), strict=True):
            item = {"id": len(truth) + 1, "image_id": image, "category_id": class_, "bbox": box, "iscrowd": 0}
            truth.append(item | {"area": box[2] * box[3]})
        near, noise = rng.integers(0, 7, AN_IMAGE), rng.random(AN_IMAGE)
        found = boxes[near] + rng.normal(0, 1, (AN_IMAGE, 4)) * np.where(noise < 1 / 3, 3, 60)[:, None]
        found[:, 2:] = np.abs(found[:, 2:]) + 1
        scores = rng.random(AN_IMAGE).tolist()
        for row, class_, sure in zip(found.tolist(), classes[near].tolist(), scores, strict=True):
            detections.append({"image_id": image, "category_id": class_, "bbox": row, "score": sure})
    ground = COCO()
    ground.dataset = {
        "info": {},
        "images": [{"id": number, "width": 640, "height": 640} for number in range(1, images + 1)],
        "annotations": truth,
        "categories": [{"id": number, "name": str(number)} for number in range(1, CLASSES + 1)],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        ground.createIndex()
    return ground, detections
