"""`msnas eval MODEL data=...`: the 12 COCO numbers of a saved model, and its detections as a COCO results file.

Of an anytime detector, AP and cost of every exit, from one pass; the numbers and the file are the last exit's.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from msnas.call import Call
from msnas.data.dataset import DetectionDataset
from msnas.data.geometry import typical_input
from msnas.data.opening import open_split
from msnas.data.settings import DataSettings
from msnas.data.source import data_files
from msnas.engine.devices import Hardware
from msnas.engine.evaluation import EvaluationResult, evaluate
from msnas.engine.exits import evaluate_exits
from msnas.errors import ConfigError, DataError
from msnas.export.model_file import load
from msnas.files import write_text
from msnas.runs.progress import Progress
from msnas.runs.tables import amount
from msnas.setup.open_run import setup_of


def main(call: Call) -> int:
    """Evaluate on one split; the detections go to `out=`, or beside the model (of val: `detections-DATA.json`)."""
    if len(call.positionals) != 1:
        raise ConfigError("Give one model: a folder with model.json and model.safetensors.")
    path, setup = Path(call.positionals[0]), setup_of(call.words)
    model = load(path)
    sides = {"short_side": model.config["short_side"], "long_side": model.config["long_side"]}
    white = setup.data.white or model.meta.get("white")  # 16-bit images are read as in training
    settings = replace(setup.data, **sides, white=white, masks=model.config.get("mask", False))
    name = _split_name(settings, setup.arguments.split)
    split = open_split(settings, name, seed=setup.seed)
    _same_classes(model.meta, split.classes)
    hardware = setup.hardware.for_training()
    with Progress("eval", len(split)) as progress:
        exits = _evaluated_exits(hardware.place(model), split, hardware, progress)
    result = exits[max(exits)]
    folder = path if path.is_dir() else path.parent
    out = setup.arguments.out or folder / f"detections-{setup.data_name}{'' if name == 'val' else '-' + name}.json"
    write_text(out, json.dumps(result.detections))
    names = dict(zip(split.category_ids, split.classes, strict=True))
    answer = {**result.numbers, "split": name, "images": result.images, "detections": str(out)}
    if len(exits) > 1:
        answer["exits"] = _exits(model, exits, split)
    answer["per_class"] = {names[category]: value for category, value in result.per_class.items()}
    print(json.dumps(answer) if call.json else _text(answer))
    return 0


def _split_name(settings: DataSettings, given: str | None) -> str:
    """The split that was asked for; else val, or test where that file alone is there."""
    if given is not None:
        if given not in ("train", "val", "test"):
            raise ConfigError(f"split must be train, val or test, but got {given!r}.")
        return given
    files = data_files(settings)
    only_test = files.test is not None and files.val is None and not files.train.annotations.exists()
    return "test" if only_test else "val"


def _evaluated_exits(
    model: Any, dataset: DetectionDataset, hardware: Hardware, progress: Progress
) -> dict[int, EvaluationResult]:
    """What the model's exits are worth; most models have one."""
    if len(getattr(model, "exits", ())) > 1:
        return evaluate_exits(model, dataset, hardware=hardware, progress=progress.update)
    return {1: evaluate(model, dataset, hardware=hardware, progress=progress.update)}


def _exits(model: Any, exits: dict[int, EvaluationResult], dataset: DetectionDataset) -> list[dict[str, Any]]:
    """Of each exit its `exit_after`, its MACs at the size that most images are padded to, and its COCO numbers."""
    sizes = map(dataset.size, range(len(dataset)))
    input_size = typical_input(sizes, model.config["short_side"], model.config["long_side"], model.encoder.divisor)
    macs = model.exit_macs(input_size)
    where = "x".join(map(str, input_size))
    return [{"exit_after": n, "macs": macs[n], "input": where, **one.numbers} for n, one in exits.items()]


def _same_classes(meta: dict[str, Any], classes: list[str]) -> None:
    if list(meta["classes"]) != list(classes):
        raise DataError(
            f"The data must have the model's classes, {', '.join(meta['classes'])}, but has {', '.join(classes)}."
        )


def _text(answer: dict[str, Any]) -> str:
    numbers = {key: value for key, value in answer.items() if isinstance(value, float)}
    rows = [
        f"{key:>10}  {value:.4f}" if value >= 0 else f"{key:>10}  {'-':>6}  (no such object)"
        for key, value in numbers.items()
    ]
    rows += [
        f"{one['ap']:>10.4f}  AP, AP50 {one['ap50']:.4f}, {amount(one['macs'])}MACs at {one['input']}, "
        f"exit_after={one['exit_after']}"
        for one in answer.get("exits", [])
    ]
    rows += [f"{name:>10}  {value:.4f}  (AP of the class)" for name, value in answer["per_class"].items() if value >= 0]
    absent = sum(value < 0 for value in answer["per_class"].values())
    rows += [f"{absent:>10}  classes have no object here"] if absent else []
    return "\n".join([*rows, f"{answer['images']} images of {answer['split']}; detections in {answer['detections']}"])
