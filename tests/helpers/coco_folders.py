"""Small COCO folders for tests: a sound one, to be broken in one place at a time."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from msnas.data.settings import DataSettings, SearchVal

WIDTH, HEIGHT = 64, 48


class CocoFolder:
    """A sound data set of 6 + 4 images with two boxes each; `write` puts the (changed) records on disk."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.images = root / "images"
        self.images.mkdir(parents=True)
        self.train, self.val = self._content("train", 6), self._content("val", 4)

    def _content(self, split: str, number: int) -> dict[str, Any]:
        images, annotations = [], []
        for i in range(number):
            name = f"{split}{i}.png"
            picture(WIDTH, HEIGHT, seed=hash_free(name)).save(self.images / name)
            images.append({"id": i + 1, "file_name": name, "width": WIDTH, "height": HEIGHT})
            for j in range(2):
                box = [4 + 10 * j, 6 + i, 20 + 3 * j, 15]
                record = {"id": len(annotations) + 1, "image_id": i + 1, "category_id": (3, 7)[j], "bbox": box}
                annotations.append(record | {"area": box[2] * box[3], "iscrowd": 0})
        categories = [{"id": 7, "name": "fish"}, {"id": 3, "name": "crab"}]
        return {"images": images, "annotations": annotations, "categories": categories}

    def write(self) -> "CocoFolder":
        for split in ("train", "val"):
            (self.root / f"{split}.json").write_text(json.dumps(getattr(self, split)))
        return self

    def save(self, image: Image.Image, name: str, width: int, height: int, **options: Any) -> None:
        """Make `name` the first training image, as a record of `width` x `height`."""
        image.save(self.images / name, **options)
        self.train["images"][0] |= {"file_name": name, "width": width, "height": height}
        for item in self.train["annotations"][:2]:
            item["bbox"] = [0, 0, width / 2, height / 2]

    def settings(self, **changes: Any) -> DataSettings:
        plain: dict[str, Any] = {"root": str(self.root), "short_side": 32, "long_side": 64, "workers": 0}
        return DataSettings(**{**plain, "search_val": SearchVal(minimum=1), **changes})


def hash_free(name: str) -> int:
    """A small number for a name, the same in every process."""
    return int.from_bytes(name.encode()[-6:], "little")


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    """An RGB picture that looks like no other."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.NEAREST)


def real_data(name: str) -> Path:
    """A real data set beside the repository, or in $MSNAS_TEST_DATA; skips the test where there is none."""
    beside = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    root = Path(os.environ.get("MSNAS_TEST_DATA", beside)) / name
    if not root.is_dir():
        pytest.skip(f"no data set {name} in ../shared/data or $MSNAS_TEST_DATA")
    return root
