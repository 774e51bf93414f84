"""Winners that begin from the supernet: with which weights, for how long, and which start stands for the search."""

import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from tiny_words import TINY, fitting

from msnas.cli import main
from msnas.data.opening import Splits
from msnas.engine.checkpoint import save_weights
from msnas.engine.devices import Hardware
from msnas.engine.distributed import ALONE
from msnas.errors import ConfigError
from msnas.families.family import Baseline
from msnas.families.initial_weights import pretraining_network
from msnas.files import read_json, write_json
from msnas.pipeline.entries import Choice, entries_of
from msnas.pipeline.retraining import retrain
from msnas.pipeline.starts import starts
from msnas.runs.progress import Progress
from msnas.setup.open_run import open_new
from supernet.cost import Cost

ONE = ["space=msnas_7", "scale=tiny", "data=shapes", "budget=none", "run=r"]
WORDS = [*fitting(TINY, ONE), *ONE, "data.train=12", "retrain.steps=4", "retrain.supernet_share=0.5"]
WORDS += ["retrain.checkpoint_every=1", "retrain.init=both", "retrain.fpn=false", "retrain.point=false"]
PATH = "1,2,1,1,1,0.5,1|4,4,8,8,8"
CLASSES = ("a", "b", "c", "d", "e")  # as many as the drawn data have


class KilledError(BaseException):
    """What nobody catches."""


def run_in(runs, data):
    """A run whose supernet is as it began, and whose search found one path."""
    run = open_new([*WORDS, f"runs_root={runs}", f"data.root={data}"])
    save_weights(run.stage("supernet") / "weights.safetensors", pretraining_network(run.setup.family, CLASSES, seed=7))
    write_json(run.stage("search") / "result.json", {"finalists": [{"rank": 1, "architecture": PATH, "score": 0.1}]})
    for stage in ("supernet", "search"):
        write_json(run.stage(stage) / "done.json", {})
    return run


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    threads = torch.get_num_threads()
    yield tmp_path_factory.mktemp("starts")
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def searched(place):
    """A run whose search is done."""
    return run_in(place / "searched", place / "shapes")


@pytest.fixture(scope="module")
def whole(place):
    """The folder of one that is retrained from both starts."""
    run = run_in(place / "whole", place / "shapes")
    retrain(run, ("retrain",))
    return run.folder


def rows_of(run):
    return {row["name"]: row for row in read_json(run / "retrain" / "table.json")["rows"]}


def test_both_starts_have_a_row_and_the_supernets_its_share_of_the_steps(whole):
    rows = rows_of(whole)
    assert {"winner 1, from scratch", "winner 1, from the supernet"} == set(rows)
    assert [rows[f"winner 1, from {start}"]["steps"] for start in ("scratch", "the supernet")] == [4, 2]


def test_norms_forget_the_statistics_of_the_supernets_paths(whole):
    [folder] = (whole / "retrain").glob("01-*-supernet")
    tracked = [t for name, t in load_file(folder / "model.safetensors").items() if name.endswith("num_batches_tracked")]
    assert {int(t) for t in tracked} == {2}


def test_the_network_begins_with_the_weights_of_its_path(searched):
    path = searched.setup.space.parse(PATH)
    [entry] = entries_of(searched, [Choice("a", path)], [], CLASSES, starts=["supernet"])
    begun, known = entry.build().state_dict(), load_file(searched.weights)
    shared = [name for name in begun if name in known]
    assert len(shared) > 20
    assert all(begun[name].equal(known[name]) for name in shared)


def test_random_networks_begin_as_what_stands_for_the_search_and_points_from_scratch(searched):
    path, cost = searched.setup.space.parse(PATH), Cost(1, 1)
    beside = [(Baseline("baseline-a", "a", PATH, cost, path), role) for role in ("random", None)]
    choices = [Choice("w", path, role="winner")]
    entries = list(entries_of(searched, choices, beside, CLASSES, starts=["supernet", "scratch"]))
    assert [entry.role for entry in entries] == ["winner", "other start", "random", None]
    assert [entry.start for entry in entries] == ["supernet", "scratch", "supernet", "scratch"]


def test_a_killed_training_from_the_supernet_gives_the_same_model(whole, place, monkeypatch):
    run, update = run_in(place / "killed", place / "shapes"), Progress.update
    shutil.copytree(whole / "retrain", run.folder / "retrain", ignore=shutil.ignore_patterns("01-*-supernet", "*.json"))
    shutil.copytree(whole / "retrain" / "choice", run.folder / "retrain" / "choice", dirs_exist_ok=True)
    [scratch] = (one for one in (whole / "retrain").glob("01-*") if not one.name.endswith("supernet"))
    shutil.copy(scratch / "result.json", run.folder / "retrain" / scratch.name)

    def dies(progress, done, *words, **more):
        raise KilledError

    monkeypatch.setattr(Progress, "update", dies)
    with pytest.raises(KilledError):
        retrain(run, ("retrain",))
    monkeypatch.setattr(Progress, "update", update)
    retrain(run, ("retrain",))
    models = [next(one.glob("retrain/01-*-supernet/model.safetensors")).read_bytes() for one in (whole, run.folder)]
    assert models[0] == models[1]


@pytest.mark.parametrize(("aps", "first"), [((0.3, 0.2), "scratch"), ((0.1, 0.2), "supernet"), ((0.2, 0.2), "scratch")])
def test_search_val_says_which_start_stands_for_the_search(searched, tmp_path, aps, first):
    for start, ap in zip(("scratch", "supernet"), aps, strict=True):
        (tmp_path / start).mkdir()
        write_json(tmp_path / start / "result.json", {"ap": ap})
    splits = Splits(*[None] * 4)
    assert starts(searched, None, Cost(1, 1), splits, Hardware(), ALONE, folder=tmp_path)[0] == first


def test_the_choice_is_scored_on_search_val(whole, searched):
    seen = {one["image_id"] for one in read_json(whole / "retrain" / "choice" / "scratch" / "detections.json")}
    assert seen <= {image.id for image in searched.splits().search_val.images}


def test_a_space_without_a_supernet_is_refused_before_there_is_a_run(tmp_path, capsys):
    cell = "3,1,4,gp|1,5,4,sum|0,6,3,sum|6,7,4,sum|7,8,5,gp|6,9,7,gp|9,10,6,gp"
    words = ["space=nas_fpn", "detector=retinanet", "scale=tiny", "input=128x128", f"runs_root={tmp_path}"]
    assert main(["retrain", cell, "retrain.init=supernet", *words]) == 2
    assert "retrain.init=supernet needs a supernet" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_no_winner_is_trained_for_longer_than_the_baselines(searched):
    with pytest.raises(ConfigError, match="no winner is trained for longer than the baselines"):
        replace(searched.setup.retrain, supernet_share=1.5)
