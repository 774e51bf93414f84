"""`msnas export` copies the winner of the run that it is told, wherever that lies."""

import pytest
from tiny_detectors import make_detector

import msnas
from msnas.cli import main
from msnas.commands import export
from msnas.commands.export import _trained
from msnas.errors import RunError
from msnas.export.model_file import save
from msnas.files import write_json
from msnas.runs.folder import DONE, RESULT
from msnas.setup.open_run import open_new


def retrained(root):
    """A run `a` below `root` whose one winner says where it comes from."""
    run = open_new([f"runs_root={root}", "run=a"])
    meta = {"classes": ["a", "b", "c"], "category_ids": [1, 2, 3], "root": root}
    save(run.stage("retrain") / "01-x", make_detector(short_side=48, long_side=64), meta)
    write_json(run.stage("retrain") / DONE, {})


def test_a_path_outside_of_runs_root_names_that_run_and_none_of_its_name_inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for root in ("runs", "other/runs"):
        retrained(root)
    assert main(["export", "other/runs/a", "out=winner"]) == 0
    assert msnas.load("winner").meta["root"] == "other/runs"


def test_of_two_starts_that_is_exported_which_stands_for_the_search(tmp_path):
    retrained(str(tmp_path))
    stage = tmp_path / "a" / "retrain"
    meta = {"classes": ["a", "b", "c"], "category_ids": [1, 2, 3]}
    save(stage / "01-x-supernet", make_detector(short_side=48, long_side=64), {**meta, "root": "supernet"})
    write_json(stage / "01-x" / RESULT, {"role": "other start"})
    assert main(["export", "run=a", f"runs_root={tmp_path}", f"out={tmp_path / 'winner'}"]) == 0
    assert msnas.load(tmp_path / "winner").meta["root"] == "supernet"


def test_a_network_of_a_spread_of_scores_is_no_winner_to_export(tmp_path):
    folder = tmp_path / "r/retrain/02-abc"
    folder.mkdir(parents=True)
    (folder / "model.json").touch()
    write_json(folder / "result.json", {"role": "spread"})
    with pytest.raises(RunError, match="no retrained winner of rank 2"):
        _trained(tmp_path / "r/retrain", 2)


def test_a_model_in_8_bits_is_calibrated_and_judged_at_the_models_own_size(tmp_path, monkeypatch):
    meta = {"classes": ["a", "b", "c"], "category_ids": [1, 2, 3]}
    save(tmp_path / "m", make_detector(short_side=48, long_side=64), meta)
    seen = []
    monkeypatch.setattr(export, "export_int8", lambda model, data, *_, **__: seen.append(data))
    monkeypatch.setattr(export, "_of_int8", str)
    monkeypatch.setattr(export, "require_extra", lambda: None)
    words = ["onnx=true", "export.precision=int8", "data=shapes", f"data.root={tmp_path / 'shapes'}"]
    assert main(["export", str(tmp_path / "m"), *words]) == 0
    assert [(data.short_side, data.long_side) for data in seen] == [(48, 64)]
