"""`msnas predict MODEL IMAGES... OUT`: a saved detector over images, folders and videos.

Boxes are drawn, and listed in one JSON beside; an OUT that ends in `.json` is a COCO results file instead.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from msnas.call import Call
from msnas.data.depth import is_darkened
from msnas.data.images import ImageError, Reading, holds_several, read_upright
from msnas.data.named_images import Found, Source, find_images
from msnas.data.segmentation import encode
from msnas.data.video import frames, is_video
from msnas.drawings.detections import draw_detections
from msnas.engine.devices import Hardware, to_device
from msnas.errors import ConfigError
from msnas.export.model_file import load
from msnas.files import write_json, written
from msnas.runs.folder import DETECTIONS
from msnas.runs.progress import Progress
from msnas.setup.open_run import setup_of

Record = dict[str, Any]


class Picture(NamedTuple):
    """An image, or a frame of a video: what the answer says of it, where it is drawn, and its pixels [h, w, 3]."""

    record: Record
    place: str
    pixels: NDArray[np.uint8]


def main(call: Call) -> int:
    """Detect, draw, list; 0 also where some images cannot be read (they are listed), 1 where none can."""
    if len(call.positionals) < 3:
        raise ConfigError("Give a model, images and a folder to write to: msnas predict MODEL IMAGES... OUT.")
    name, *places, out = call.positionals
    if Path(out).is_file() and not _is_json(Path(out)):
        raise ConfigError(
            f"What is written goes to a folder or a .json file, the last of the words, but {out} is a file."
        )
    setup = setup_of(call.words)
    score, every = setup.arguments.score, setup.arguments.every
    if isinstance(score, bool) or not 0 <= score <= 1:
        raise ConfigError(f"score must be from 0 to 1, but got {score!r}.")
    model = load(name)
    found = find_images([Path(place) for place in places], Path(out))
    hardware = setup.hardware.for_training()
    hardware.place(model)
    white = model.meta.get("white") or setup.data_in(Path()).white  # as in training, unless it saw no deep image
    reading = Reading(white=white, pixel_limit=setup.pixel_limit)
    answer = _predict(model, found, Path(out), reading=reading, score=score, every=every, hardware=hardware)
    if _is_json(Path(out)):
        content: Any = coco_results(answer)
        write_json(Path(out), content)
    else:
        content = answer
        write_json(Path(out) / DETECTIONS, content)
    if call.json:
        print(json.dumps(content))
    print(_text(answer, Path(out)), file=sys.stderr if call.json else sys.stdout)
    for fault in answer["unreadable"]:
        print(f"{fault['file']}: {fault['reason']}", file=sys.stderr)
    return 0 if answer["images"] else 1


def _is_json(out: Path) -> bool:
    return out.suffix.lower() == ".json"


def coco_results(answer: dict[str, Any]) -> list[Record]:
    """The detections as a COCO results file lists them; `image_id` counts the images from 1, `file_name` names them.

    Frames of a video are images of one `file_name`, told apart by `frame`.
    """
    return [
        {"image_id": number, "file_name": image["file"], **_frame_of(image), **detection}
        for number, image in enumerate(answer["images"], start=1)
        for detection in image["detections"]
    ]


def _frame_of(image: Record) -> Record:
    return {name: image[name] for name in ("frame", "seconds") if name in image}


def _predict(
    model: Any, found: Found, out: Path, *, reading: Reading, score: float, every: int, hardware: Hardware
) -> dict[str, Any]:
    """Detections of every readable image and frame; its picture goes below `out` where that is a folder."""
    images: list[Record] = []
    unreadable: list[Record] = []
    draws, below, several, deep = not _is_json(out), 0, 0, 0
    with Progress("predict", len(found.sources)) as progress:
        for number, source in enumerate(found.sources, start=1):
            try:
                if not is_video(source.path):
                    several += holds_several(source.path, reading)
                    deep += reading.white is None and is_darkened(source.path, reading)
                for picture in _pictures(source, reading, every):
                    objects, weak = detect(model, picture.pixels, score=score, hardware=hardware)
                    record = {**picture.record, "detections": _records(objects, model.meta)}
                    if draws:
                        _save(
                            draw_detections(picture.pixels, objects, list(model.meta["classes"])), out / picture.place
                        )
                        record["picture"] = picture.place
                    images.append(record)
                    below += weak
                    progress.update(number - 1, f"frame {record['frame']}" if "frame" in record else "")
            except ImageError as error:
                unreadable.append({"file": source.name, "reason": str(error)})
            progress.update(number)
    (out if draws else out.parent).mkdir(parents=True, exist_ok=True)
    left_out = {"below_score": below, "skipped": found.others, "skipped_videos": found.videos}
    left_out |= {"first_of_several": several, "darkened": deep}
    return {"score": score, "images": images, "unreadable": unreadable, **left_out}


def _pictures(source: Source, reading: Reading, every: int) -> Iterator[Picture]:
    """The one picture of an image, or those of a video's frames. Raises ImageError where it cannot be read (on)."""
    if not is_video(source.path):
        pixels = read_upright(source.path, reading)
        yield Picture(_seen(source, pixels), source.picture, pixels)
        return
    for frame in frames(source.path, every):
        record = {**_seen(source, frame.pixels), "frame": frame.number, "seconds": frame.seconds}
        yield Picture(record, f"{source.picture}/{frame.number:06d}.jpg", frame.pixels)


def _seen(source: Source, pixels: NDArray[np.uint8]) -> Record:
    return {"file": source.name, "width": pixels.shape[1], "height": pixels.shape[0]}


def detect(model: Any, pixels: NDArray[np.uint8], *, score: float, hardware: Hardware) -> tuple[dict[str, Tensor], int]:
    """Boxes [n, 4] xyxy in pixels of the image, labels [n], scores [n] >= `score`, best first, and maybe masks.

    pixels: [h, w, 3] RGB. The tensors are on the CPU. Beside them, how many detections are below `score`.
    """
    images, _ = to_device([torch.from_numpy(pixels.copy()).permute(2, 0, 1)], [], hardware.device)
    with torch.inference_mode(), hardware.autocast():
        [output] = model(images)
    order = output["scores"].argsort(descending=True, stable=True)
    kept = order[output["scores"][order] >= score]
    return {name: values[kept].float().cpu() for name, values in output.items()}, len(order) - len(kept)


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
    images = answer["images"]
    objects = sum(len(image["detections"]) for image in images)
    frames_ = sum("frame" in image for image in images)
    counted = f"{len(images)} images" if not frames_ else f"{len(images) - frames_} images and {frames_} frames"
    left_out = {
        f"of score below {answer['score']} left out": answer["below_score"],
        "could not be read": len(answer["unreadable"]),
        "of other kinds left out": answer["skipped"],
        "videos left out (name one to see its frames)": answer["skipped_videos"],
        "of several pictures, of which the first was taken": answer["first_of_several"],
        "of 16 bits that leave half of them unused and look dark (data.white=VALUE, for grey ones)": answer["darkened"],
    }
    said = "".join(f"; {number} {what}" for what, number in left_out.items() if number)
    where = f"COCO results are in {out}" if _is_json(out) else f"Pictures and {DETECTIONS} are in {out}"
    return f"{objects} objects in {counted}{said}. {where}."
