"""Networks along a front, trained beside FPNs of the same sizes, shown and exported."""

import json

import numpy as np
import pytest
import torch
from tiny_words import TINY, fitting

import msnas
from evolution.history import History
from evolution.strategy import Evaluation
from msnas.cli import main
from msnas.files import read_json, write_json
from msnas.pipeline import forecast as forecasting
from msnas.pipeline.front_training import retrain_front
from msnas.runs.progress import Progress
from msnas.setup.open_run import open_new

ONE = ["space=msnas_7", "scale=tiny", "data=shapes", "budget=none", "run=r"]
WORDS = [
    *fitting(TINY, ONE),
    *ONE,
    "data.train=12",
    "space.channels=32",
    "front.networks=3",
    "input=64x64",
    "retrain.steps=1",
]


class KilledError(BaseException):
    """What nobody catches."""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run whose search has scored four networks, the dearer the better; its front was killed once, then trained."""
    place = tmp_path_factory.mktemp("front")
    threads = torch.get_num_threads()
    run = open_new([*WORDS, f"runs_root={place / 'runs'}", f"data.root={place / 'shapes'}"])
    space, rng = run.setup.space, np.random.default_rng(0)
    genomes = sorted({space.sample(rng) for _ in range(41)}, key=lambda genome: space.cost(genome).macs)[10::10]
    with History(run.stage("search") / "history.sqlite", fingerprint={}) as history:
        for number, genome in enumerate(genomes):
            cost = space.cost(genome).by_name()
            history.append(Evaluation(genome=genome, score=(0.1 * number,), cost=cost))
    write_json(run.stage("search") / "done.json", {})
    _kill_in_the_middle(run)
    retrain_front(run, ("retrain", "front"))
    torch.set_num_threads(threads)
    return run


def _kill_in_the_middle(run):
    update = Progress.update

    def dies(progress, done, *words, **more):
        if progress.label == "front 2":
            raise KilledError
        update(progress, done, *words, **more)

    Progress.update = dies
    try:
        with pytest.raises(KilledError):
            retrain_front(run, ("retrain", "front"))
    finally:
        Progress.update = update


def test_every_network_has_an_fpn_of_its_size_beside_it(run):
    rows = {row["name"]: row["macs"] for row in read_json(run.folder / "front" / "table.json")["rows"]}
    assert set(rows) == {f"{kind} {number}" for kind in ("front", "FPN") for number in (1, 2, 3)}
    assert all(abs(rows[f"FPN {n}"] / rows[f"front {n}"] - 1) < 0.1 for n in (1, 2, 3))
    assert list(rows.values()) == sorted(rows.values())


def test_every_network_is_timed_whole(run):
    found = read_json(run.folder / "front" / "latency.json")
    assert set(found["whole_ms"]) == {f"{kind} {number}" for kind in ("front", "FPN") for number in (1, 2, 3)}
    assert all(milliseconds > 0 for milliseconds in found["whole_ms"].values())


def test_an_estimate_names_every_network_of_the_front(run, monkeypatch, capsys):
    for name, number in (("WARM", 0), ("STEPS", 2)):
        monkeypatch.setattr(forecasting, name, number)
    words = ["run=r", f"runs_root={run.folder.parent}", "--estimate", "--json"]
    assert main(["retrain", "front", *words]) == 0
    [told] = json.loads(capsys.readouterr().out)
    assert (told["stage"], told["work"]) == ("front", "6 networks, 1 trainings each, 1 steps of 4 images")
    left = sum(file.stat().st_size for file in run.folder.glob("front/*/*.safetensors"))
    assert told["disk"] > left > 0  # which a checkpoint stands beside


def test_a_front_that_is_trained_is_not_trained_again(run):
    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("model.safetensors")}
    assert "front of run r is trained" in retrain_front(run, ("retrain", "front"))
    assert {path: path.stat().st_mtime_ns for path in run.folder.rglob("model.safetensors")} == before


def test_every_network_is_exported_into_a_folder_of_its_own(run, tmp_path, capsys):
    words = ["run=r", f"runs_root={run.folder.parent}", f"out={tmp_path}", "onnx=false"]
    assert main(["export", "front", *words]) == 0
    models = json.loads((tmp_path / "models.json").read_text())
    names = [msnas.load(tmp_path / model["folder"]).meta["name"] for model in models]
    assert names == ["front 1", "front 2", "front 3"]


def test_a_run_without_a_trained_front_says_what_trains_it(run, tmp_path, capsys):
    open_new([*WORDS[:-1], "run=s", f"runs_root={tmp_path}"])
    assert main(["export", "front", "onnx=false", "run=s", f"runs_root={tmp_path}"]) == 2
    assert "finish it with `msnas retrain front run=s`" in capsys.readouterr().err
