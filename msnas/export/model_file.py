"""A trained detector on disk: `model.safetensors` and one `model.json` that says how to build it and use it.

Nothing in either file is code: weights are plain numbers, and only networks of this library, and of packages that the
command line lists in `plugins=`, are ever built.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from msnas.config.compose import trusted
from msnas.detectors.detector import Detector
from msnas.errors import ModelError
from msnas.files import write_text, written
from msnas.runs.folder import MODEL, MODEL_WEIGHTS

FORMAT, VERSION = "msnas-model", 1
PACKAGES = ("msnas.detectors.", "supernet.")  # of classes that go by their path
KINDS = {  # a kind's name in the file, and the class behind it: the class may move, the name stays
    "faster_rcnn": "msnas.detectors.faster_rcnn.FasterRCNN",
    "path": "supernet.strides.stride_encoder.PathEncoder",
    "supernet": "supernet.strides.stride_encoder.MixedEncoder",
    "fpn": "supernet.strides.fpn_encoder.FpnEncoder",
    "retinanet": "msnas.detectors.retinanet.RetinaNet",
    "nas_fpn": "supernet.nas_fpn.plan_encoder.NasFpnEncoder",
    "fpn_levels": "supernet.nas_fpn.plan_encoder.FpnLevelEncoder",
    "fcos": "msnas.detectors.fcos.FCOS",
    "fcos_levels": "supernet.nas_fcos.fcos_encoder.FcosEncoder",
}
GONE = (("input_norm", False),)  # options that older files have at a value that means what happens now


def save(folder: Path | str, detector: Any, meta: Mapping[str, Any]) -> Path:
    """Write `detector` into `folder` (made when missing) and return the path of its JSON.

    detector: has an `encoder`; both have a `config`, the arguments that build them again. meta: `classes`
    (names, in the order of the labels 1, 2, ...) and `category_ids` (of the data set, in the same order), and
    whatever else should be known of the model, as JSON. The JSON is written last: a folder that has one is
    complete.
    """
    _check_meta(meta, detector.config["num_classes"], str(folder))
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in detector.state_dict().items()}
    with written(folder / MODEL_WEIGHTS) as partial:
        save_file(weights, partial)
        digest = _digest(partial)
        (folder / MODEL).unlink(missing_ok=True)  # a JSON never stands beside weights of another model
    content = {
        "format": FORMAT,
        "version": VERSION,
        "detector": _spec(detector),
        "encoder": _spec(detector.encoder),
        "preprocessing": _preprocessing(detector),
        "weights_sha256": digest,
        "meta": dict(meta),
    }
    write_text(folder / MODEL, json.dumps(content, indent=1, allow_nan=False))
    return folder / MODEL


def load(path: Path | str) -> Detector:
    """The detector saved in `path` (the folder, or one of its two files), in evaluation mode, on the CPU.

    Call it with a list of images [3, h, w], float in 0..1; its `meta` has the class names and category ids.
    Raises ModelError, one line, for files that are missing, damaged or not ours.
    """
    folder = Path(path).parent if Path(path).name in (MODEL, MODEL_WEIGHTS) else Path(path)
    content = _read_json(folder / MODEL)
    if not (folder / MODEL_WEIGHTS).is_file():
        raise ModelError(f"A model is two files, {MODEL} and {MODEL_WEIGHTS}, but {folder} has no {MODEL_WEIGHTS}.")
    if _digest(folder / MODEL_WEIGHTS) != content["weights_sha256"]:
        raise ModelError(f"{folder / MODEL_WEIGHTS} is damaged or belongs to another {MODEL}; copy both files again.")
    try:
        with torch.device("meta"):  # the frame alone: no memory for weights that are about to be replaced
            detector: Detector = _build(content["detector"], encoder=_build(content["encoder"]))
        detector.load_state_dict(load_file(folder / MODEL_WEIGHTS), strict=True, assign=True)
        _check_meta(content["meta"], detector.config["num_classes"], str(folder))
    except (AttributeError, ImportError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
        raise ModelError(f"{folder / MODEL} does not describe a model that can be built: {reason}") from error
    detector.meta = content["meta"]
    return detector.eval()


def _spec(module: Any) -> dict[str, Any]:
    name = _name_of(type(module))
    kinds = {known: kind for kind, known in KINDS.items()}
    return {"kind": kinds.get(name, name), "options": module.config}


def _name_of(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _build(spec: dict[str, Any], **parts: nn.Module) -> Any:
    name = KINDS.get(spec["kind"], spec["kind"])
    found = trusted("kind", name, PACKAGES)
    if not (isinstance(found, type) and issubclass(found, nn.Module) and name == _name_of(found)):
        raise ValueError(f"its kind must be one of {', '.join(KINDS)}, or a network, but is {spec['kind']!r}")
    options = {key: value for key, value in spec["options"].items() if (key, value) not in GONE}
    return found(**parts, **options)


def _preprocessing(detector: Any) -> dict[str, Any]:
    """What another program must do to an image before the weights see it."""
    return {
        "channels": "RGB in 0..1",
        "short_side": detector.transform.short_side,
        "long_side": detector.transform.long_side,
        "resize": "bilinear, antialiased; short side to short_side unless long side would exceed long_side",
        "mean": detector.transform.image_mean,
        "std": detector.transform.image_std,
        "pad_right_and_bottom_with_zeros_to_multiple_of": detector.encoder.divisor,
    }


def _check_meta(meta: Mapping[str, Any], num_classes: int, where: str) -> None:
    for key in ("classes", "category_ids"):
        values = meta.get(key)
        if not isinstance(values, list | tuple) or len(values) != num_classes:
            raise ModelError(f"{where}: meta must list {key}, one a class ({num_classes}), but has {values!r}.")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"A model is a folder with {MODEL} and {MODEL_WEIGHTS}, but {path} does not exist.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} must be a JSON file, but cannot be read: {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ModelError(f"{path} must be a model of this library (format {FORMAT!r}), and is none.")
    if content.get("version") != VERSION:
        raise ModelError(f"{path} has format version {content.get('version')!r}, but this library reads {VERSION}.")
    if missing := {"detector", "encoder", "weights_sha256", "meta"} - content.keys():
        raise ModelError(f"{path} is incomplete: it lacks {', '.join(sorted(missing))}.")
    return content


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
