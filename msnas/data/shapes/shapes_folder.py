"""The embedded data set: scenes drawn from a seed and written once as a COCO folder with masks.

To everything else it is a data set like any other. A folder is named after what it was drawn from, is written
under another name and renamed when complete, so a drawing that was killed is never mistaken for one.
"""

import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from msnas.data.segmentation import encode
from msnas.data.settings import DataSettings, ShapesSettings
from msnas.data.shapes.scenes import CLASSES, Shape, draw_scene
from msnas.files import cache_folder
from msnas.seeds import derive

VERSION = 3  # of the drawing: raised when the same settings give other pixels
_log = logging.getLogger(__name__)


def shapes_folder(settings: DataSettings) -> Path:
    """The folder with the drawn data set of `settings`, drawn now if it does not exist yet."""
    assert settings.shapes is not None
    drawing = settings.shapes
    sizes = "" if drawing.objects is None else "-objects{:g}to{:g}".format(*drawing.objects)
    name = f"shapes-{drawing.size}px-{drawing.train}-{drawing.val}-seed{drawing.seed}{sizes}-v{VERSION}"
    folder = _home(settings.root) / name
    if not folder.is_dir():
        _log.warning("Drawing %d images once, into %s.", drawing.train + drawing.val, folder)
        _write_whole(folder, drawing)
    return folder


def _home(root: str | None) -> Path:
    if root is not None:
        Path(root).mkdir(parents=True, exist_ok=True)
        return Path(root)
    return cache_folder()


def _write_whole(folder: Path, drawing: ShapesSettings) -> None:
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    for stale in folder.parent.glob(f".{folder.name}.*.partial"):
        if not _alive(int(stale.name.split(".")[-2])):
            shutil.rmtree(stale, ignore_errors=True)
    try:
        (partial / "images").mkdir(parents=True)
        for split, number in (("train", drawing.train), ("val", drawing.val)):
            _write_split(partial, split, number, drawing)
        partial.rename(folder)
    except OSError:
        if not folder.is_dir():  # another process may have finished the same drawing first
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid != os.getpid()


def _write_split(folder: Path, split: str, number: int, drawing: ShapesSettings) -> None:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index in range(number):
        rng = np.random.default_rng(derive(drawing.seed, "shapes", split, index))
        picture, shapes = draw_scene(drawing.size, rng, drawing.objects)
        name = f"{split}-{index:05d}.png"
        picture.save(folder / "images" / name, compress_level=1)
        images.append({"id": index + 1, "file_name": name, "width": drawing.size, "height": drawing.size})
        for shape in shapes:
            annotations.append(_annotation(len(annotations) + 1, index + 1, shape))
    categories = [{"id": id_, "name": name, "supercategory": "shape"} for id_, name in enumerate(CLASSES, start=1)]
    content = {
        "info": {"description": "Drawn shapes", **{key: getattr(drawing, key) for key in ("size", "seed")}},
        "images": images,
        "annotations": annotations,
        "categories": categories,
    }
    (folder / f"{split}.json").write_text(json.dumps(content))


def _annotation(id_: int, image_id: int, shape: Shape) -> dict[str, Any]:
    """A COCO record of what is seen of a shape: its outline as a polygon where all of it is, else its pixels as RLE."""
    rows, columns = np.flatnonzero(shape.visible.any(axis=1)), np.flatnonzero(shape.visible.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    box = [left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1]
    outline = shape.outline
    segmentation = encode(shape.visible.astype(np.uint8)) if outline is None else [outline.round(2).ravel().tolist()]
    record: dict[str, Any] = {"id": id_, "image_id": image_id, "category_id": shape.label + 1, "bbox": box}
    return record | {"area": int(shape.visible.sum()), "iscrowd": 0, "segmentation": segmentation}
