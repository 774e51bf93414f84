"""The main job end to end on a handful of drawn images: every stage, stopped by SIGKILL or not, and given again."""

import json
import shutil
import signal
import time
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch

import msnas
from evolution.errors import StrategyError
from evolution.history import History
from msnas.cli import main
from msnas.files import read_json

SMALL = (
    *("scale=tiny", "data=shapes", "data.size=64", "data.short_side=64", "data.long_side=64", "data.train=24"),
    *("data.val=8", "data.search_val.minimum=6", "schedule.batch=4", "train.steps=8", "train.checkpoint_every=2"),
    *("hardware.train_threads=1", "space.channels=8", "baseline.channels=8", "budget.macs=13e6"),
    *("budget.tolerance=0.1", "candidate.batch=4", "candidate.iterations=1", "strategy.population_size=3"),
    *("strategy.children=2", "strategy.iterations=1", "strategy.n_random=1", "search.finalists=2"),
    *("search.replicates=1", "top_k=1", "retrain.steps=6", "retrain.checkpoint_every=2", "retrain.point=false"),
    "log.tensorboard=true",
)
STAGES = ("train", "search", "retrain")


def stage(name: str, root: Path) -> int:
    return main([name, "run=r", f"runs_root={root}", f"data.root={root.parent / 'shapes'}", *SMALL])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that was never interrupted."""
    root = tmp_path_factory.mktemp("whole") / "runs"
    threads = torch.get_num_threads()
    assert [stage(name, root) for name in STAGES] == [0, 0, 0]
    torch.set_num_threads(threads)
    return root / "r"


def test_every_stage_leaves_its_result(whole):
    assert all((whole / folder / "done.json").exists() for folder in ("supernet", "search", "retrain"))


def test_every_candidate_is_valid_and_inside_the_budget(whole):
    winners = read_json(whole / "search" / "result.json")["finalists"]
    assert all(11_700_000 <= winner["macs"] <= 14_300_000 for winner in winners)


def test_winner_and_baseline_have_all_twelve_numbers(whole):
    names = {row["name"] for row in read_json(whole / "retrain" / "table.json")["rows"]}
    rows = read_json(whole / "retrain" / "table.json")["rows"]
    assert names == {"winner 1", "FPN baseline"}
    assert all(len([key for key in row if key[:2] in ("ap", "ar")]) >= 12 for row in rows)


def test_a_stage_that_is_complete_does_nothing(whole, capsys):
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*.safetensors")}
    assert [stage(name, whole.parent) for name in STAGES] == [0, 0, 0]
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*.safetensors")} == before
    assert "is complete" in capsys.readouterr().out


def test_a_stage_that_has_begun_refuses_another_configuration(whole, capsys):
    assert main(["train", "run=r", f"runs_root={whole.parent}", *SMALL, "space.channels=16"]) == 2
    assert "space.channels=8, but got space.channels=16" in capsys.readouterr().err


def test_the_winner_loads_in_one_line_and_detects(whole):
    model = msnas.load(next((whole / "retrain").glob("01-*")))
    [found] = model([torch.rand(3, 50, 70)])
    assert set(found) == {"boxes", "labels", "scores"}


def test_eval_repeats_the_numbers_of_the_retraining(whole, capsys, tmp_path):
    folder = next((whole / "retrain").glob("01-*"))
    shapes = f"data.root={whole.parent.parent / 'shapes'}"
    assert main(["eval", str(folder), *SMALL, shapes, f"out={tmp_path / 'found.json'}", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["ap"] == read_json(folder / "result.json")["ap"]
    assert (tmp_path / "found.json").exists()


def test_export_copies_the_two_files_of_a_winner(whole, tmp_path):
    assert main(["export", "run=r", f"runs_root={whole.parent}", f"out={tmp_path / 'winner'}"]) == 0
    assert sorted(path.name for path in (tmp_path / "winner").iterdir()) == ["model.json", "model.safetensors"]


@pytest.mark.parametrize(
    ("stage", "curve", "picture"),
    [
        ("supernet", "loss/loss", "truth and detections"),
        ("search", "generation/best", "winner"),
        ("retrain/baseline-fpn", "val/ap", "truth and detections"),
    ],
)
def test_tensorboard_shows_curves_and_pictures_of_every_stage(whole, stage, curve, picture):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(whole / stage)).Reload()
    assert events.Scalars(curve)
    assert any(tag.startswith(picture) for tag in events.Tags()["images"])


def test_runs_are_listed_with_their_state(whole, capsys):
    assert main(["runs", f"runs_root={whole.parent}", "--json"]) == 0
    [row] = json.loads(capsys.readouterr().out)
    assert set(row["state"].values()) == {"complete"}


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::ResourceWarning")
def test_a_search_on_ray_finds_the_same_winners(whole, tmp_path):
    pytest.importorskip("ray")
    run = tmp_path / "runs" / "r"
    shutil.copytree(whole, run, ignore=shutil.ignore_patterns("search", "retrain"))
    words = ["run=r", f"runs_root={run.parent}", f"data.root={whole.parent.parent / 'shapes'}", *SMALL]
    assert main(["search", *words, "hardware=ray", "hardware.workers=1", "hardware.train_threads=1"]) == 0
    found = [read_json(folder / "search" / "result.json")["finalists"] for folder in (run, whole)]
    assert found[0] == found[1]


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """The same run, every stage of it ended by SIGKILL in the middle and then given again."""
    root = tmp_path_factory.mktemp("killed") / "runs"
    signs = {
        "train": lambda: _lines(root / "r" / "supernet" / "metrics.jsonl") >= 3,
        "search": lambda: _evaluations(root / "r" / "search" / "history.sqlite") >= 2,
        "retrain": lambda: any(_lines(path) >= 3 for path in (root / "r" / "retrain").glob("*/metrics.jsonl")),
    }
    for name in STAGES:
        _kill_when(signs[name], name, root)
        assert not (root / "r" / {"train": "supernet"}.get(name, name) / "done.json").exists()
        assert stage(name, root) == 0
    return root / "r"


def _kill_when(sign, name, root):
    context = get_context("forkserver")  # all three are forked from one process that has imported torch
    context.set_forkserver_preload(["msnas.commands.train", "msnas.commands.search", "msnas.commands.retrain"])
    process = context.Process(target=stage, args=(name, root))
    process.start()
    end = time.monotonic() + 120
    while not sign() and process.is_alive() and time.monotonic() < end:
        time.sleep(0.01)
    assert process.is_alive(), f"{name} ended before it could be killed"
    process.kill()  # by SIGKILL
    process.join(20)
    assert process.exitcode == -signal.SIGKILL


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


def _evaluations(path: Path) -> int:
    try:
        with History.read(path) as history:
            return history.succeeded()
    except StrategyError:  # not there yet
        return 0


def test_a_killed_supernet_equals_the_uninterrupted_one_bit_for_bit(whole, killed):
    name = "supernet/weights.safetensors"
    assert (killed / name).read_bytes() == (whole / name).read_bytes()


def test_a_killed_search_finds_the_same_winners(whole, killed):
    results = [read_json(run / "search" / "result.json") for run in (whole, killed)]
    assert results[0]["finalists"] == results[1]["finalists"]


def test_a_killed_retraining_gives_the_same_model_and_numbers(whole, killed):
    folders = [next((run / "retrain").glob("01-*")) for run in (whole, killed)]
    weights = [(folder / "model.safetensors").read_bytes() for folder in folders]
    assert weights[0] == weights[1]
    assert read_json(folders[0] / "result.json")["ap"] == read_json(folders[1] / "result.json")["ap"]


def test_no_step_stands_twice_in_the_journal_of_a_killed_run(killed):
    lines = (killed / "supernet" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(8))
