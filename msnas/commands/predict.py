"""`msnas predict MODEL IMAGES OUT`: a saved detector over a folder of images; boxes drawn, and as one JSON beside."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from msnas.call import Call
from msnas.data.images import ImageError, read_upright
from msnas.data.segmentation import encode
from msnas.drawings.detections import draw_detections
from msnas.engine.devices import Hardware, to_device
from msnas.errors import ConfigError
from msnas.export.model_file import load
from msnas.files import write_json
from msnas.runs.progress import Progress
from msnas.setup.open_run import setup_of

DETECTIONS = "detections.json"
_KEPT = (".jpg", ".jpeg", ".png")  # a picture of another format is drawn as PNG
Record = dict[str, Any]


def main(call: Call) -> int:
    """Detect, draw, list; 0 also where some images cannot be read (they are listed), 1 where none can."""
    if len(call.positionals) != 3:
        raise ConfigError("Give a model, images and a folder to write to: msnas predict MODEL IMAGES OUT.")
    setup = setup_of(call.words)
    score, source, out = setup.config.score, Path(call.positionals[1]), Path(call.positionals[2])
    if isinstance(score, bool) or not 0 <= score <= 1:
        raise ConfigError(f"score must be from 0 to 1, but got {score!r}.")
    model = load(call.positionals[0])
    root, files = _images(source, out)
    hardware = setup.hardware.for_training()
    hardware.place(model)
    answer = _predict(model, root, files, out, score=score, hardware=hardware)
    write_json(out / DETECTIONS, answer)
    print(json.dumps(answer) if call.json else _text(answer, out))
    for fault in answer["unreadable"]:
        print(f"{fault['file']}: {fault['reason']}", file=sys.stderr)
    return 0 if answer["images"] else 1


def _images(source: Path, out: Path) -> tuple[Path, list[Path]]:
    """(root, files): every file below `source` with the suffix of an image; hidden files and `out` are left out."""
    if not source.exists():
        raise ConfigError(f"The images must be a folder or a file, but {source} does not exist.")
    root = source.parent if source.is_file() else source
    if out.resolve() == root.resolve():
        raise ConfigError(f"The pictures must go to another folder than the images', but both are {out}.")
    known = {suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    found = [source] if source.is_file() else sorted(path for path in source.rglob("*") if path.is_file())
    files = [
        path
        for path in found
        if path.suffix.lower() in known
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
        and not path.resolve().is_relative_to(out.resolve())
    ]
    if not files:
        raise ConfigError(f"{source} holds no image; known are {', '.join(_KEPT)} and what else Pillow reads.")
    return root, files


def _predict(
    model: Any, root: Path, files: list[Path], out: Path, *, score: float, hardware: Hardware
) -> dict[str, Any]:
    """Detections of every readable image; its picture goes to the same place below `out`."""
    images: list[Record] = []
    unreadable: list[Record] = []
    with Progress("predict", len(files)) as progress:
        for number, path in enumerate(files, start=1):
            name = str(path.relative_to(root))
            try:
                pixels = read_upright(path)
            except ImageError as error:
                unreadable.append({"file": name, "reason": str(error)})
            else:
                found = detect(model, pixels, score=score, hardware=hardware)
                picture = name if path.suffix.lower() in _KEPT else f"{name}.png"
                _save(draw_detections(pixels, found, list(model.meta["classes"])), out / picture)
                record = {"file": name, "picture": picture, "width": pixels.shape[1], "height": pixels.shape[0]}
                images.append({**record, "detections": _records(found, model.meta)})
            progress.update(number)
    out.mkdir(parents=True, exist_ok=True)
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
    Image.fromarray(picture).save(path, quality=92)


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
    images, broken = answer["images"], len(answer["unreadable"])
    objects = sum(len(image["detections"]) for image in images)
    left_out = f"; {broken} could not be read" if broken else ""
    return f"{objects} objects in {len(images)} images{left_out}. Pictures and {DETECTIONS} are in {out}."
