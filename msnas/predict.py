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
from torchvision.utils import draw_bounding_boxes, draw_segmentation_masks

from msnas.cli import Call
from msnas.data.images import ImageError, read_upright
from msnas.data.segmentation import encode
from msnas.detectors.model_file import load
from msnas.engine.devices import Hardware, to_device
from msnas.errors import ConfigError
from msnas.progress import Progress
from msnas.runs import write_json
from msnas.setting import hardware_of

DETECTIONS = "detections.json"
_KEPT = (".jpg", ".jpeg", ".png")  # a picture of another format is drawn as PNG
_COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#008080", "#9a6324", "#808000", "#f032e6")
Record = dict[str, Any]


def main(call: Call) -> int:
    """Detect, draw, list; 0 also where some images cannot be read (they are listed), 1 where none can."""
    if len(call.positionals) != 3:
        raise ConfigError("Give a model, images and a folder to write to: msnas predict MODEL IMAGES OUT.")
    score, source, out = call.config.score, Path(call.positionals[1]), Path(call.positionals[2])
    if isinstance(score, bool) or not 0 <= score <= 1:
        raise ConfigError(f"score must be from 0 to 1, but got {score!r}.")
    model = load(call.positionals[0])
    root, files = _images(source, out)
    hardware = hardware_of(call.config, threads=call.config.hardware.train_threads)
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
                _save(draw(pixels, found, list(model.meta["classes"])), out / picture)
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


def draw(pixels: NDArray[np.uint8], found: dict[str, Tensor], classes: list[str]) -> NDArray[np.uint8]:
    """The picture [h, w, 3] with boxes (and masks), each with its class and score; the worst are drawn first."""
    picture = torch.from_numpy(pixels.copy()).permute(2, 0, 1)
    labels = [int(label) - 1 for label in found["labels"].flip(0)]
    if labels:
        colours = [_COLOURS[label % len(_COLOURS)] for label in labels]
        if "masks" in found:
            picture = draw_segmentation_masks(picture, found["masks"].flip(0)[:, 0] > 0.5, alpha=0.4, colors=colours)
        scores = found["scores"].flip(0).tolist()
        names = [f"{classes[label]} {score:.2f}" for label, score in zip(labels, scores, strict=True)]
        width = max(1, min(picture.shape[-2:]) // 250)
        boxes = found["boxes"].flip(0)
        picture = draw_bounding_boxes(
            picture, boxes, names, colors=colours, width=width, fill_labels=True, label_colors="white"
        )
    drawn: NDArray[np.uint8] = picture.permute(1, 2, 0).numpy()
    return drawn


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
