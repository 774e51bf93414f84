"""Images and targets as a detector wants them, by index; ground truth and results as pycocotools wants them."""

import contextlib
import io
import logging
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pycocotools.coco import COCO
from torch import Tensor

from msnas.data.augmentation import Target, augment
from msnas.data.image_store import ImageStore
from msnas.data.predicted_masks import run_lengths
from msnas.data.records import Annotation, ImageRecord
from msnas.data.segmentation import rasterise

THINNEST = 1 / 64  # pixels: what float32 can still tell from nothing, in images of any size we train on
_log = logging.getLogger(__name__)


class DetectionDataset:
    """Some images of one annotation file, resized, with their targets. Labels are 1..K in the order of category ids.

    Crowd regions are in `ground_truth` (where an evaluation ignores them) and in no target. May be pickled:
    the pixels are one torch tensor, which torch's multiprocessing shares instead of copying.
    """

    def __init__(
        self,
        images: Sequence[ImageRecord],
        categories: dict[int, str],
        store: ImageStore,
        *,
        masks: bool = False,
    ) -> None:
        self.images = tuple(images)
        self.categories = categories
        self.masks = masks
        self.store = store
        self._labels = {id_: label for label, id_ in enumerate(categories, start=1)}

    def __len__(self) -> int:
        return len(self.images)

    @property
    def classes(self) -> list[str]:
        """Names, in the order of labels 1..K; with the id where two classes have one name."""
        number = Counter(self.categories.values())
        return [f"{name} (id {id_})" if number[name] > 1 else name for id_, name in self.categories.items()]

    @property
    def category_ids(self) -> list[int]:
        """The file's ids, in the order of labels 1..K."""
        return list(self.categories)

    @property
    def image_ids(self) -> list[int]:
        """The file's ids, in the order of indices."""
        return [image.id for image in self.images]

    @property
    def white(self) -> int | None:
        """The value of white in 16-bit images, for `Reading`; None: 65535, or there are none."""
        return self.store.reading.white

    @property
    def memory(self) -> int:
        """Bytes of decoded pixels that are held, by this data set and those it shares them with."""
        return self.store.memory

    @property
    def readers(self) -> int:
        """Threads that may load images beforehand; 0 where they are in memory."""
        return self.store.readers

    def size(self, index: int) -> tuple[int, int]:
        """(height, width) of the resized image."""
        return self.store.size(self.images[index])

    def file(self, index: int) -> Path:
        """Where the original image lies."""
        return self.store.folder / self.images[index].file_name

    def load(
        self,
        index: int,
        *,
        seed: int | None = None,
        **augmentation: Any,
    ) -> tuple[Tensor, Target]:
        """A resized image [3, h, w] uint8 and its target; with a seed augmented, as `View.drawn` says.

        Target: boxes [n, 4] float32 xyxy pixels of that image, labels [n] int64 in 1..K, area [n] float32
        pixels, image_id int, and masks [n, h, w] uint8 where the data set has them. Crowds are left out here:
        a detector that sorts them out by `iscrowd` waits for its GPU at every image. Raises DataError where a
        file that was not decoded at the start turns out to be broken.
        """
        record = self.images[index]
        image, target = self.store.pixels(record), self.target(index)
        return (image, target) if seed is None else augment(image, target, seed, **augmentation)

    def ground_truth(self) -> Any:
        """A pycocotools COCO of these images: boxes, areas, crowds as in the file, without the dropped ones."""
        return self._ground_truth

    def results(self, index: int, output: dict[str, Tensor]) -> list[dict[str, Any]]:
        """A detector's output for the image as COCO results: original pixels, the file's ids, full precision.

        output: boxes [n, 4] xyxy pixels of the resized image, scores [n], labels [n] in 1..K, and maybe
        box_masks [n, 1, 28, 28] of probabilities, cut at 0.5 on the image.
        """
        record = self.images[index]
        across, down = self._scale(record)
        boxes = output["boxes"].detach().cpu().double() / torch.tensor([across, down, across, down]).double()
        boxes[:, 2:] -= boxes[:, :2]
        ids = self.category_ids
        rows = zip(boxes.tolist(), output["scores"].tolist(), output["labels"].tolist(), strict=True)
        found: list[dict[str, Any]] = [
            {"image_id": record.id, "category_id": ids[label - 1], "bbox": box, "score": score}
            for box, score, label in rows
        ]
        if "box_masks" in output:
            canvas, size = self.store.size(record), (record.height, record.width)
            masks = run_lengths(output["box_masks"].detach(), output["boxes"].detach(), canvas, size)
            for row, mask in zip(found, masks, strict=True):
                row["segmentation"] = mask
        return found

    def subset(self, indices: Sequence[int]) -> "DetectionDataset":
        """These images of the data set, sharing its pixels."""
        return DetectionDataset([self.images[i] for i in indices], self.categories, self.store, masks=self.masks)

    def _scale(self, record: ImageRecord) -> tuple[float, float]:
        """Factors in x and y from the file's pixels to the resized image's."""
        height, width = self.store.size(record)
        return width / record.width, height / record.height

    def target(self, index: int) -> Target:
        """What `load` gives beside the image as it is."""
        record = self.images[index]
        items = [item for item in record.annotations if not item.crowd]
        across, down = self._scale(record)
        boxes = torch.tensor([item.xyxy for item in items], dtype=torch.float64).reshape(-1, 4)
        boxes = (boxes * torch.tensor([across, down, across, down], dtype=torch.float64)).float()
        boxes[:, 2:] = torch.maximum(boxes[:, 2:], boxes[:, :2] + THINNEST)
        target: Target = {
            "boxes": boxes,
            "labels": torch.tensor([self._labels[item.category_id] for item in items], dtype=torch.int64),
            "area": torch.tensor([item.area * across * down for item in items], dtype=torch.float32),
            "image_id": record.id,
        }
        return target | {"masks": self._masks(record, items)} if self.masks else target

    def _masks(self, record: ImageRecord, items: Sequence[Annotation]) -> Tensor:
        target = self.store.size(record)
        masks = [rasterise(item.segmentation, (record.height, record.width), target) for item in items]
        return torch.from_numpy(np.stack(masks)) if masks else torch.zeros((0, *target), dtype=torch.uint8)

    @cached_property
    def _ground_truth(self) -> Any:
        coco = COCO()
        coco.dataset = {
            "info": {},
            "images": [
                {"id": image.id, "file_name": image.file_name, "width": image.width, "height": image.height}
                for image in self.images
            ],
            "annotations": [_coco_record(image, item) for image in self.images for item in image.annotations],
            "categories": [{"id": id_, "name": name} for id_, name in self.categories.items()],
        }
        with contextlib.redirect_stdout(io.StringIO()):
            coco.createIndex()
        return coco


def _coco_record(image: ImageRecord, item: Annotation) -> dict[str, Any]:
    record: dict[str, Any] = {"id": item.id, "image_id": image.id, "category_id": item.category_id}
    record |= {"bbox": list(item.bbox), "area": item.area, "iscrowd": int(item.crowd)}
    return record if item.segmentation is None else record | {"segmentation": item.segmentation}
