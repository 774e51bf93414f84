"""`msnas export [RUN] rank=1`: a winner as a stand-alone detector: two files without search code, and ONNX.

`msnas export front [RUN]` does it for every network that `msnas retrain front` has trained, `msnas export MODEL` writes
ONNX of a model that no run made.
"""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from msnas.call import Call
from msnas.data.settings import DataSettings
from msnas.errors import ConfigError, RunError
from msnas.export.model_file import load
from msnas.export.onnx_export import Exported, export_onnx, require_extra
from msnas.export.onnx_int8 import SPLIT, Quantised, export_int8
from msnas.export.onnx_options import OnnxOptions
from msnas.files import read_json, write_json, written
from msnas.pipeline.score_spread import ROLE as SPREAD
from msnas.runs.folder import FRONT, MODEL, MODEL_WEIGHTS, MODELS, RESULT, RETRAIN, find_run
from msnas.runs.tables import amount
from msnas.setup.open_run import OpenRun, open_existing, setup_of
from msnas.setup.options import OTHER_START
from msnas.setup.setup import Setup


def main(call: Call) -> int:
    """Copy the model of the winner with this rank in the search to `out=`; the reported split has no say in it.

    `front` before the run: every network of a front, each in its own folder, as ONNX too unless `onnx=false`.
    """
    of_front = call.positionals[:1] == (FRONT,)
    names = call.positionals[of_front:]
    if len(names) == 1 and not of_front and (Path(names[0]) / MODEL).is_file():
        return _export_model(Path(names[0]), setup_of(call.words))
    if len(names) > 1:
        raise ConfigError(f"Give one run, but got {', '.join(names)}.")
    words = [*call.words, *(word for name in names for word in _named(call, name))]
    setup = setup_of(words)
    config = setup.arguments
    onnx = setup.export if (of_front if config.onnx is None else config.onnx) else None
    if onnx is not None:
        onnx.files()  # options that make no sense are refused before anything is written
        require_extra()
    run = open_existing(words)
    run.require(FRONT if of_front else RETRAIN)
    if of_front:
        _export_front(run, config.out or Path(f"{run.name}-front"), onnx)
    else:
        found = _trained(run.folder / RETRAIN, config.rank)
        _export(run, found, config.out or Path(f"{run.name}-rank{config.rank}"), onnx)
    return 0


def _export_model(model: Path, setup: Setup) -> int:
    """Write a model's ONNX files beside it, or beside a copy in `out=`; checked on the images of `data.*`."""
    setup.export.files()
    require_extra()
    out = setup.arguments.out or model
    if out.resolve() != model.resolve():
        out.mkdir(parents=True, exist_ok=True)
        _copy(model, out)
    detector = load(out)
    sides = {"short_side": detector.config["short_side"], "long_side": detector.config["long_side"]}
    data = replace(setup.data, **sides, white=setup.data.white or detector.meta.get("white"))
    for line in _as_onnx(out, data, setup.seed, setup.export):
        print(line)
    return 0


def _export_front(run: OpenRun, out: Path, onnx: OnnxOptions | None) -> None:
    """Every network, the cheapest first, in a folder named by its place and its MACs; and a list of them."""
    stage, models = run.folder / FRONT, []
    ranks = sorted({path.parent.name.split("-")[0] for path in stage.glob(f"[0-9][0-9]-*/{MODEL}")})
    for rank in ranks:
        found = _trained(stage, int(rank))
        row = read_json(found / RESULT)
        folder = f"{rank}-{amount(row['macs']).replace(' ', '')}"
        _export(run, found, out / folder, onnx)
        models.append({"folder": folder, **{key: row[key] for key in ("architecture", "macs", "params", "ap")}})
    write_json(out / MODELS, models)


def _export(run: OpenRun, found: Path, out: Path, onnx: OnnxOptions | None) -> None:
    out.mkdir(parents=True, exist_ok=True)
    _copy(found, out)
    print(f"{out}: load it with `msnas.load({str(out)!r})`")
    if onnx is not None:
        setup = run.setup.for_retraining
        for line in _as_onnx(out, setup.data, setup.seed, onnx):
            print(line)


def _named(call: Call, name: str) -> list[str]:
    """The words that open the run of that name or path, wherever it lies."""
    folder = find_run(setup_of(call.words).arguments.runs_root, name)
    return [f"run={folder.name}", f"runs_root={folder.parent}"]


def _trained(stage: Path, rank: int) -> Path:
    """The folder of the first training of a rank, from the start that stands for it. Raises RunError for none."""
    for path in sorted(stage.glob(f"{rank:02d}-*/{MODEL}")):
        if (read_json(path.parent / RESULT) or {}).get("role") not in (OTHER_START, SPREAD):
            return path.parent
    raise RunError(f"Run {stage.parent.name} has no retrained winner of rank {rank}; see `msnas retrain`.")


def _copy(model: Path, out: Path) -> None:
    """The two files of a model to `out`; the JSON last, so that it never stands beside weights of another model."""
    with written(out / MODEL_WEIGHTS) as partial:
        shutil.copyfile(model / MODEL_WEIGHTS, partial)
        (out / MODEL).unlink(missing_ok=True)
    with written(out / MODEL) as partial:
        shutil.copyfile(model / MODEL, partial)


def _as_onnx(out: Path, data: DataSettings, seed: int, options: OnnxOptions) -> Iterator[str]:
    """Write the ONNX files beside the two others; what each takes and how well it was checked, in a line."""
    for size, name in options.files().items():
        model, path = load(out), out / name
        if options.precision == "int8":
            yield _of_int8(export_int8(model, data, path, size=size, batch=options.batch, seed=seed))
        else:
            made = export_onnx(model, data, path, size=size, batch=options.batch, precision=options.precision)
            yield f"{path}: {_checked(made)}."


def _checked(made: Exported) -> str:
    (height, width), checked = made.size, made.checked
    takes = f"image [3, {height}, {width}]" if made.batch == 1 else f"images [{made.batch}, 3, {height}, {width}]"
    equal = f"equal to torch on {checked.images} images with {checked.detections} detections"
    gaps = f"boxes to {checked.boxes:.1g} pixels, scores to {checked.scores:.1g}"
    lost = f"; {checked.lost} detections of one without a like in the other" if checked.lost else ""
    return f"{takes} to boxes, scores, labels; {equal} ({gaps}{lost})"


def _of_int8(made: Quantised) -> str:
    told = f"AP {made.ap_before:.4f} in float32, {made.ap_after:.4f} in 8 bits, on {made.images} images of {SPLIT}"
    return f"{made.path}: {told}. Before its layers were quantised: {_checked(made.before)}."
