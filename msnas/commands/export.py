"""`msnas export [RUN] rank=1`: a winner as a stand-alone detector: two files without search code, a third as ONNX.

`msnas export front [RUN]` does it for every network that `msnas retrain front` has trained.
"""

import shutil
from pathlib import Path

from msnas.call import Call
from msnas.errors import ConfigError, RunError
from msnas.export.model_file import load
from msnas.export.onnx_export import FILE, export_onnx, require_extra
from msnas.files import read_json, write_json, written
from msnas.runs.folder import FRONT, MODEL, MODEL_WEIGHTS, MODELS, RESULT, find_run
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
    if len(names) > 1:
        raise ConfigError(f"Give one run, but got {', '.join(names)}.")
    words = [*call.words, *(word for name in names for word in _named(call, name))]
    config = setup_of(words).config
    onnx = of_front if config.onnx is None else bool(config.onnx)
    if onnx:
        require_extra()
    run = open_existing(words)
    run.require(FRONT if of_front else "retrain")
    if of_front:
        _export_front(run, Path(config.out or f"{run.name}-front"), onnx=onnx)
    else:
        found = _trained(run.folder / "retrain", config.rank)
        _export(run, found, Path(config.out or f"{run.name}-rank{config.rank}"), onnx=onnx)
    return 0


def _export_front(run: OpenRun, out: Path, *, onnx: bool) -> None:
    """Every network, the cheapest first, in a folder named by its place and its MACs; and a list of them."""
    stage, models = run.folder / FRONT, []
    ranks = sorted({path.parent.name.split("-")[0] for path in stage.glob(f"[0-9][0-9]-*/{MODEL}")})
    for rank in ranks:
        found = _trained(stage, int(rank))
        row = read_json(found / RESULT)
        folder = f"{rank}-{amount(row['macs']).replace(' ', '')}"
        _export(run, found, out / folder, onnx=onnx)
        models.append({"folder": folder, **{key: row[key] for key in ("architecture", "macs", "params", "ap")}})
    write_json(out / MODELS, models)


def _export(run: OpenRun, found: Path, out: Path, *, onnx: bool) -> None:
    out.mkdir(parents=True, exist_ok=True)
    _copy(found, out)
    print(f"{out}: load it with `msnas.load({str(out)!r})`")
    if onnx:
        print(_as_onnx(out, run.setup))


def _named(call: Call, name: str) -> list[str]:
    """The words that open the run of that name or path, wherever it lies."""
    folder = find_run(Path(setup_of(call.words).config.runs_root), name)
    return [f"run={folder.name}", f"runs_root={folder.parent}"]


def _trained(stage: Path, rank: int) -> Path:
    """The folder of the first training of a rank, from the start that stands for it. Raises RunError for none."""
    for path in sorted(stage.glob(f"{rank:02d}-*/{MODEL}")):
        if (read_json(path.parent / RESULT) or {}).get("role") != OTHER_START:
            return path.parent
    raise RunError(f"Run {stage.parent.name} has no retrained winner of rank {rank}; see `msnas retrain`.")


def _copy(model: Path, out: Path) -> None:
    """The two files of a model to `out`; the JSON last, so that it never stands beside weights of another model."""
    with written(out / MODEL_WEIGHTS) as partial:
        shutil.copyfile(model / MODEL_WEIGHTS, partial)
        (out / MODEL).unlink(missing_ok=True)
    with written(out / MODEL) as partial:
        shutil.copyfile(model / MODEL, partial)


def _as_onnx(out: Path, setup: Setup) -> str:
    """Write the ONNX file beside the two others; what it takes and how well it was checked, in a line."""
    made = export_onnx(load(out), setup.data, out / FILE)
    (height, width), checked = made.size, made.checked
    equal = f"equal to torch on {checked.images} images with {checked.detections} detections"
    gaps = f"boxes to {checked.boxes:.1g} pixels, scores to {checked.scores:.1g}"
    return f"{made.path}: image [3, {height}, {width}] to boxes, scores, labels; {equal} ({gaps})."
