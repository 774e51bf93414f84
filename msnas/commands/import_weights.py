"""`msnas import FILE out=MODEL`: a public checkpoint of mmdetection as a model of ours.

Which network it is its tensors say; `msnas eval`, `predict` and `export` read what is written.
"""

import json
from pathlib import Path
from typing import Any

from torchvision.models.detection import RetinaNet_ResNet50_FPN_Weights

from msnas.call import Call
from msnas.errors import ConfigError, ModelError
from msnas.export.model_file import save
from msnas.runs.tables import amount
from msnas.setup.make_family import family_classes
from msnas.setup.open_run import setup_of
from supernet.backbone_weights import read_tensors
from supernet.mac_counter import count_params


def main(call: Call) -> int:
    """Convert the file's tensors, every one of them, and write the model's folder."""
    if len(call.positionals) != 1:
        raise ConfigError("Give one checkpoint of mmdetection: msnas import FILE out=MODEL.")
    arguments = setup_of(call.words).arguments
    path = Path(call.positionals[0])
    if not path.is_file():
        raise ConfigError(f"msnas import reads a file of weights, but there is no file {path}.")
    detector = _converted(path)
    out = arguments.out or Path(path.stem)
    save(out, detector, {**_coco(path, detector.config["num_classes"]), "source": f"mmdetection, {path.name}"})
    params, network = count_params(detector), detector.encoder.config["backbone"]
    if call.json:
        print(json.dumps({"out": str(out), "params": params, "encoder": detector.encoder.config}))
    else:
        told = f"{type(detector).__name__} on {network}, {amount(params)} parameters"
        print(f"{out}: {told}, all of {path.name}. Next:\n\n    msnas eval {out} data.root=COCO")
    return 0


def _converted(path: Path) -> Any:
    """The detector of the first family that knows the file's network."""
    state = read_tensors(path, "A checkpoint")
    for family in family_classes():
        try:
            found = family.of_toolbox(state)
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error
        if found is not None:
            return found
    raise ModelError(
        f"{path} must be of mmdetection's configs/nas_fpn (with a NASFPN neck) or configs/nas_fcos, "
        f"but begins with {', '.join([*state][:3])}."
    )


def _coco(path: Path, num_classes: int) -> dict[str, list[Any]]:
    """COCO's classes, by which the toolbox orders its outputs, as a model's meta."""
    names = RetinaNet_ResNet50_FPN_Weights.COCO_V1.meta["categories"]
    known = {id_: name for id_, name in enumerate(names) if name not in ("__background__", "N/A")}
    if num_classes != len(known):
        raise ModelError(f"{path} must have the {len(known)} classes of COCO, but has {num_classes}.")
    return {"classes": [*known.values()], "category_ids": [*known]}
