"""`msnas predict MODEL IMAGES... OUT`: a saved detector over images and folders; boxes drawn, and as one JSON beside.

An OUT that ends in `.json` is a COCO results file instead, without pictures.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from msnas.call import Call
from msnas.data.images import ImageError, Reading, read_upright
from msnas.data.segmentation import encode
from msnas.drawings.detections import draw_detections
from msnas.engine.devices import Hardware, to_device
from msnas.errors import ConfigError
from msnas.export.model_file import load
from msnas.files import write_json, written
from msnas.runs.folder import DETECTIONS
from msnas.runs.progress import Progress
from msnas.setup.open_run import setup_of

_KEPT = (".jpg", ".jpeg", ".png")  # a picture of another format is drawn as PNG
Record = dict[str, Any]


class Picture(NamedTuple):
    """An image, what it is called in the answer, and the name of its picture below OUT."""

    path: Path
    name: str
    picture: str


def main(call: Call) -> int:
    """Detect, draw, list; 0 also where some images cannot be read (they are listed), 1 where none can."""
    if len(call.positionals) < 3:
        raise ConfigError("Give a model, images and a folder to write to: msnas predict MODEL IMAGES... OUT.")
    name, *sources, out = call.positionals
    setup = setup_of(call.words)
    score = setup.arguments.score
    if isinstance(score, bool) or not 0 <= score <= 1:
        raise ConfigError(f"score must be from 0 to 1, but got {score!r}.")
    model = load(name)
    found, skipped = _images([Path(source) for source in sources], Path(out))
    hardware = setup.hardware.for_training()
    hardware.place(model)
    answer = _predict(model, found, Path(out), score=score, hardware=hardware) | {"skipped": skipped}
    if Path(out).suffix == ".json":
        content: Any = coco_results(answer)
        write_json(Path(out), content)
    else:
        content = answer
        write_json(Path(out) / DETECTIONS, content)
    print(json.dumps(content) if call.json else _text(answer, Path(out)))
    for fault in answer["unreadable"]:
        print(f"{fault['file']}: {fault['reason']}", file=sys.stderr)
    return 0 if answer["images"] else 1


def coco_results(answer: dict[str, Any]) -> list[Record]:
    """The detections as a COCO results file lists them; `image_id` counts the images from 1, `file_name` names them."""
    return [
        {"image_id": number, "file_name": image["file"], **detection}
        for number, image in enumerate(answer["images"], start=1)
        for detection in image["detections"]
    ]


def _images(sources: Sequence[Path], out: Path) -> tuple[list[Picture], int]:
    """Every file of `sources` and below them with the suffix of an image, and how many others there were.

    Hidden files and `out` are left out. With several sources a folder's name stands before those of its images.
    """
    known = {suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    named: dict[Path, str] = {}
    skipped = 0
    for source in sources:
        for path, name in _files(source, out, alone=len(sources) == 1):
            if path.suffix.lower() in known:
                named.setdefault(path, name)
            else:
                skipped += 1
    if not named:
        places = ", ".join(map(str, sources))
        raise ConfigError(f"{places} holds no image; known are {', '.join(_KEPT)} and what else Pillow reads.")
    pictures = _pictures(named)
    return [Picture(path, name, pictures[path]) for path, name in named.items()], skipped


def _files(source: Path, out: Path, *, alone: bool) -> list[tuple[Path, str]]:
    if not source.exists():
        raise ConfigError(f"The images must be a folder or a file, but {source} does not exist.")
    root = source.parent if source.is_file() else source
    if out.resolve() == root.resolve():
        raise ConfigError(f"The pictures must go to another folder than the images', but both are {out}.")
    files = [source] if source.is_file() else sorted(path for path in source.rglob("*") if path.is_file())
    before = Path() if alone or source.is_file() else Path(source.resolve().name)
    return [
        (path, str(before / path.relative_to(root)))
        for path in files
        if not any(part.startswith(".") for part in path.relative_to(root).parts)
        and not path.resolve().is_relative_to(out.resolve())
    ]


def _pictures(named: Mapping[Path, str]) -> dict[Path, str]:
    """A name of its own for each picture: the image's where that format is kept, else with `.png` behind it."""
    taken: set[str] = set()
    pictures: dict[Path, str] = {}
    for path in sorted(named, key=lambda path: path.suffix.lower() not in _KEPT):  # kept names first
        name = named[path] if path.suffix.lower() in _KEPT else f"{named[path]}.png"
        free = (f"{Path(name).with_suffix('')}.{number}{Path(name).suffix}" for number in count(2))
        pictures[path] = name if name not in taken else next(other for other in free if other not in taken)
        taken.add(pictures[path])
    return pictures


def _predict(model: Any, found: Sequence[Picture], out: Path, *, score: float, hardware: Hardware) -> dict[str, Any]:
    """Detections of every readable image; its picture goes below `out` where that is a folder."""
    images: list[Record] = []
    unreadable: list[Record] = []
    draws = out.suffix != ".json"
    reading = Reading(white=model.meta.get("white"))
    with Progress("predict", len(found)) as progress:
        for number, image in enumerate(found, start=1):
            try:
                pixels = read_upright(image.path, reading)
            except ImageError as error:
                unreadable.append({"file": image.name, "reason": str(error)})
            else:
                objects = detect(model, pixels, score=score, hardware=hardware)
                record = {"file": image.name, "width": pixels.shape[1], "height": pixels.shape[0]}
                if draws:
                    _save(draw_detections(pixels, objects, list(model.meta["classes"])), out / image.picture)
                    record["picture"] = image.picture
                images.append({**record, "detections": _records(objects, model.meta)})
            progress.update(number)
    (out if draws else out.parent).mkdir(parents=True, exist_ok=True)
    return {"score": score, "images": images, "unreadable": unreadable}


def detect(model: Any, pixels: NDArray[np.uint8], *, score: float, hardware: Hardware) -> dict[str, Tensor]:
    """Boxes [n, 4] xyxy in pixels of the image, labels [n], scores [n] >= `score`, best first, and maybe masks.

    pixels: [h, w, 3] RGB. The tensors are on the CPU.
    """
    images, _ = to_device([torch.from_numpy(pixels.copy()).permute(2, 0, 1)], [], hardware.device)
    with torch.inference_mode(), hardware.autocast():
        [output] = model(images)
    order = output["scores"].argsort(descending=True, stable=True)
    order = order[output["scores"][order] >= score]
    return {name: values[order].float().cpu() for name, values in output.items()}


def _save(picture: NDArray[np.uint8], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with written(path, sync=False) as partial:
        Image.fromarray(picture).save(partial, format=Image.registered_extensions()[path.suffix.lower()], quality=92)


def _records(found: dict[str, Tensor], meta: dict[str, Any]) -> list[Record]:
    """The detections as COCO writes them: `bbox` is x, y, width, height in pixels of the image."""
    records: list[Record] = []
    for i, (left, top, right, bottom) in enumerate(found["boxes"].double().tolist()):
        label = int(found["labels"][i]) - 1
        record = {
            "category_id": meta["category_ids"][label],
            "category": meta["classes"][label],
            "score": float(found["scores"][i]),
            "bbox": [left, top, right - left, bottom - top],
        }
        if "masks" in found:
            record["segmentation"] = encode((found["masks"][i, 0] > 0.5).numpy().astype(np.uint8))
        records.append(record)
    return records


def _text(answer: dict[str, Any], out: Path) -> str:
    images, broken, skipped = answer["images"], len(answer["unreadable"]), answer["skipped"]
    objects = sum(len(image["detections"]) for image in images)
    left_out = f"; {broken} could not be read" if broken else ""
    left_out += f"; {skipped} of other kinds left out" if skipped else ""
    where = f"COCO results are in {out}" if out.suffix == ".json" else f"Pictures and {DETECTIONS} are in {out}"
    return f"{objects} objects in {len(images)} images{left_out}. {where}."
