"""What a start on COCO costs: its annotation file parsed, or mapped from the index; its images looked at, or known.

    python experiments/bench/annotation_index.py [--images 118287] [--boxes 860001] [--points 0] [--rounds 3] [--json]

A data set of that size is drawn at random, its images as files of which the header alone is true; with --points, each
object has a polygon of so many points, and masks are learned. A start is a process of its own that opens the data as
training does where images do not fit into memory: once without an index, which it makes, then several times with it.
CPU seconds by step, seconds of the clock, and the memory that the start adds at its peak (Linux), all from after the
imports; medians of several starts.
"""

import argparse
import io
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from PIL import Image
from timing import Row, Target

from msnas.data import opening
from msnas.data.settings import DataSettings

STEPS = {
    "read_source": "read",
    "open_stores": "look",
    "find_groups": "groups",
    "hold_out": "splits",
    "data_digest": "digest",
}


def _header() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG")
    return file.getvalue()


HEADER = _header()


def draw(root: Path, images: int, boxes: int, points: int) -> None:
    """A training file of so many images and boxes, and a validation file of one in twenty."""
    rng = np.random.default_rng(0)
    (root / "images").mkdir()
    for split, share in (("train", 1), ("val", 20)):
        records = _images(split, rng.integers(240, 641, (images // share, 2)))
        owners = rng.integers(0, len(records), boxes // share)
        numbers = rng.random((len(owners), 4))
        objects = [_object(i, records[owner], row) for i, (owner, row) in enumerate(zip(owners, numbers, strict=True))]
        for item in objects if points else ():
            inside = np.array(item["bbox"][:2]) + rng.random((points, 2)) * item["bbox"][2:]
            item["segmentation"] = [inside.round(2).ravel().tolist()]
        categories = [{"id": number, "name": f"class {number}"} for number in range(1, 81)]
        content = {"images": records, "annotations": objects, "categories": categories}
        (root / f"{split}.json").write_text(json.dumps(content))
        for record in records:
            write_header(root / "images" / record["file_name"], record["width"], record["height"])


def write_header(path: Path, width: int, height: int) -> None:
    """A JPEG of this size of which nothing but the header is true."""
    place = HEADER.index(b"\xff\xc0") + 5  # marker, length and depth stand before the size
    path.write_bytes(HEADER[:place] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + HEADER[place + 4 :])


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


def start(root: Path, masks: bool) -> dict[str, float]:
    """Open the data in this process, no image in memory: CPU seconds by step and in all, the clock's, megabytes."""
    spent = dict.fromkeys(STEPS.values(), 0.0)
    before = _peak()
    with ExitStack() as stack:
        for function, name in STEPS.items():
            stack.enter_context(_timed(function, name, spent))
        clock, processor = time.perf_counter(), time.process_time()
        opening.open_data(DataSettings(root=str(root), memory_limit=0, masks=masks), seed=0)
        spent |= {"all": time.process_time() - processor, "clock": time.perf_counter() - clock}
    return spent | {"MB": _peak() - before}


def _peak() -> float:
    """Megabytes that this process had at its peak; what `getrusage` tells begins with those of the process before."""
    state = Path("/proc/self/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", state)[0]) / 1024


@contextmanager
def _timed(function: str, name: str, spent: dict[str, float]) -> Iterator[None]:
    real: Callable[..., Any] = getattr(opening, function)

    def timed(*arguments: Any, **options: Any) -> Any:
        began = time.process_time()
        result = real(*arguments, **options)
        spent[name] += time.process_time() - began
        return result

    with mock.patch.object(opening, function, timed):
        yield


def in_a_process(root: Path, cache: Path, masks: bool) -> dict[str, float]:
    """`start` in a fresh process with this cache folder."""
    command = [sys.executable, __file__, "--start", str(root), *(["--points", "1"] if masks else [])]
    done = subprocess.run(command, env={**os.environ, "MSNAS_CACHE": str(cache)}, check=True, capture_output=True)
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def rows(tiny: bool) -> list[Row]:
    """Opening data of COCO's size again, beside opening it for the first time: by the clock, and in memory."""
    images, boxes, rounds = (40_000, 60_000, 1) if tiny else (118_287, 860_001, 2)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "data"
        root.mkdir()
        draw(root, images, boxes, points=0)
        time.sleep(3)  # of a file that has just changed no index is made
        caches = [Path(folder) / str(turn) for turn in range(rounds)]
        starts = [[in_a_process(root, cache, masks=False) for _ in range(2)] for cache in caches]
    size = f"data of {images:,} images, {boxes:,} boxes, opened"
    sides = [("second start", [later[name] for _, later in starts]) for name in ("all", "MB")]
    firsts = [("first start", [first[name] for first, _ in starts]) for name in ("all", "MB")]
    limits = (Target(3, of="first"), Target(500, of="first"))
    return [
        Row(size, later, first, unit, limit)
        for later, first, unit, limit in zip(sides, firsts, ("CPU s", "MB added"), limits, strict=True)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=118_287)
    parser.add_argument("--boxes", type=int, default=860_001)
    parser.add_argument("--points", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--start", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.start:
        print(json.dumps(start(asked.start, masks=asked.points > 0)))
        return
    with tempfile.TemporaryDirectory() as folder:
        root, cache = Path(folder) / "data", Path(folder) / "cache"
        root.mkdir()
        draw(root, asked.images, asked.boxes, asked.points)
        time.sleep(3)  # of a file that has just changed no index is made
        first, *later = (in_a_process(root, cache, asked.points > 0) for _ in range(1 + asked.rounds))
        sizes = {"file MB": (root / "train.json").stat().st_size / 1e6}
        sizes["index MB"] = max(path.stat().st_size for path in cache.rglob("*.index")) / 1e6
    second = {name: statistics.median(one[name] for one in later) for name in first}
    if asked.json:
        print(json.dumps({**vars(asked), "first": first, "second": second, **sizes}, default=str))
        return
    print("".join(f"{name}: {value:.0f}\n" for name, value in sizes.items()))
    for name, value in first.items():
        print(f"{name:8} first {value:8.2f}   second {second[name]:8.2f}")


if __name__ == "__main__":
    main()
