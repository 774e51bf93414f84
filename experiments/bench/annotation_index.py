"""What a start on COCO costs before an image is opened: its annotation file parsed, and mapped from the index.

    python experiments/bench/annotation_index.py [--images 118287] [--boxes 860001] [--rounds 3] [--json]

A data set of that size is drawn at random (no masks, no image files). Each start is a process of its own that opens the
data as training does, but for the images themselves; the kinds take turns. Seconds of the clock and the memory that the
start added at its peak, both counted from after the imports; medians of the rounds.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from msnas.data import opening
from msnas.data.settings import DataSettings

STEPS = {"read_source": "read", "find_groups": "groups", "hold_out": "splits", "data_digest": "digest"}
KINDS = ("parsed, no index", "first start", "second start")


def draw(root: Path, images: int, boxes: int) -> None:
    """A training file of so many images and boxes, and a validation file of one in twenty."""
    rng = np.random.default_rng(0)
    for split, share in (("train", 1), ("val", 20)):
        records = _images(split, rng.integers(240, 641, (images // share, 2)))
        owners = rng.integers(0, len(records), boxes // share)
        numbers = rng.random((len(owners), 4))
        objects = [_object(i, records[owner], row) for i, (owner, row) in enumerate(zip(owners, numbers, strict=True))]
        categories = [{"id": number, "name": f"class {number}"} for number in range(1, 81)]
        content = {"images": records, "annotations": objects, "categories": categories}
        (root / f"{split}.json").write_text(json.dumps(content))
    (root / "images").mkdir()


def _images(split: str, sizes: Any) -> list[dict[str, Any]]:
    return [
        {"id": 3 * i + 9, "file_name": f"{split}{i:012d}.jpg", "height": height, "width": width}
        for i, (height, width) in enumerate(sizes.tolist())
    ]


def _object(number: int, image: dict[str, Any], draws: Any) -> dict[str, Any]:
    x, y, across, down = draws
    width, height = image["width"], image["height"]
    box = [round(v, 2) for v in (x * width / 2, y * height / 2, 2 + across * width / 3, 2 + down * height / 3)]
    record = {"id": number + 1, "image_id": image["id"], "category_id": 1 + number % 80, "bbox": box}
    return record | {"area": round(0.6 * box[2] * box[3], 4), "iscrowd": int(number % 90 == 0)}


def start(root: Path) -> dict[str, float]:
    """Seconds by step, and the megabytes at their peak, of opening the data in this process; no image is opened."""
    spent: dict[str, float] = dict.fromkeys(STEPS.values(), 0.0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(opening, "_fill"))
        for function, name in STEPS.items():
            stack.enter_context(_timed(function, name, spent))
        began = time.perf_counter()
        splits = opening.open_data(DataSettings(root=str(root), memory_limit=0), seed=0)
        spent["all"] = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return spent | {"MB": (after - before) / 1024, "images": len(splits.train)}


@contextmanager
def _timed(function: str, name: str, spent: dict[str, float]) -> Iterator[None]:
    real: Callable[..., Any] = getattr(opening, function)

    def timed(*arguments: Any, **options: Any) -> Any:
        began = time.perf_counter()
        result = real(*arguments, **options)
        spent[name] += time.perf_counter() - began
        return result

    with mock.patch.object(opening, function, timed):
        yield


def in_a_process(root: Path, cache: Path) -> dict[str, float]:
    """`start` in a fresh process with this cache folder."""
    command = [sys.executable, __file__, "--start", str(root)]
    done = subprocess.run(command, env={**os.environ, "MSNAS_CACHE": str(cache)}, check=True, capture_output=True)
    answer: dict[str, float] = json.loads(done.stdout)
    return answer
