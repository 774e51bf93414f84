"""`msnas latency MODEL`: an exported detector, whole; and the ceiling on it that finalists of a search must keep."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from onnx_graphs import find_first_values
from tiny_detectors import make_detector

from msnas.cli import main
from msnas.config.compose import compose
from msnas.errors import ConfigError, RunError
from msnas.export.model_file import save
from msnas.families.family import SearchOutcome
from msnas.files import write_json
from msnas.pipeline import exported_ceiling
from msnas.pipeline.exported_ceiling import ExportedCeiling
from msnas.pipeline.retraining import chosen
from msnas.setup.setup import Setup

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")
WORDS = ("data=shapes", "scale=tiny", "data.size=64", "data.short_side=64", "data.long_side=64", "data.train=4")
WORDS += ("data.val=4", "input=64x64", "space.channels=8", "hardware.device=cpu")
QUICK = ("latency.warmup=1", "latency.repetitions=3")
RULE = {"short_side": 64, "long_side": 64, "pad_right_and_bottom_with": [0.5, 0.5, 0.5]}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Data, and a model with three ONNX files."""
    root = tmp_path_factory.mktemp("latency")
    detector = make_detector(short_side=64, long_side=64)
    save(root / "model", detector, {"classes": ["a", "b", "c"], "category_ids": [1, 2, 3]})
    for name, shape, precision in (
        ("model", (3, 64, 64), "fp32"),
        ("model-batch2", (2, 3, 64, 64), "fp32"),
        ("model-fp16", (3, 64, 64), "fp16"),
    ):
        find_first_values(root / "model" / f"{name}.onnx", shape, {"preprocessing": RULE, "precision": precision})
    return root


@pytest.fixture(scope="module")
def rows(root):
    out = root / "times.txt"
    with out.open("w") as file, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", file)
        assert main(["latency", str(root / "model"), *WORDS, *QUICK, f"data.root={root}", "--json"]) == 0
    return json.loads(out.read_text())["timed"]


def test_every_file_is_timed_in_onnxruntime_and_those_in_float32_in_torch_too(rows):
    engines = {(row["file"], row["engine"]) for row in rows}
    both = {(file, engine) for file in ("model.onnx", "model-batch2.onnx") for engine in ("onnxruntime", "torch")}
    assert engines == {*both, ("model-fp16.onnx", "onnxruntime")}


def test_the_median_lies_between_the_quartiles(rows):
    assert all(0 < row["quartiles_ms"][0] <= row["median_ms"] <= row["quartiles_ms"][1] for row in rows)


def test_the_box_head_and_nms_are_in_the_time_of_torch(rows):
    times = {(row["file"], row["engine"]): row["median_ms"] for row in rows}
    assert times["model.onnx", "torch"] > 3 * times["model.onnx", "onnxruntime"]  # a stub, which does nothing


def test_a_model_without_an_onnx_file_is_one_line(root, tmp_path, capsys):
    assert main(["latency", str(tmp_path), *WORDS, f"data.root={root}"]) == 2
    assert "has no ONNX file; msnas export onnx=true writes one" in capsys.readouterr().err


def setup(root, *words):
    return Setup(compose([*WORDS, *QUICK, f"data.root={root}", *words]))


def outcome(*names):
    networks = tuple(SimpleNamespace(architecture=name) for name in names)
    return SearchOutcome(networks[:1], networks, evaluated=9, failed=0, inside_budget=9, seconds=1.0)


def ceiling(root, monkeypatch, **times):
    monkeypatch.setattr(ExportedCeiling, "_time", lambda self, architecture, classes: times[architecture])
    return ExportedCeiling.of(setup(root, "budget.exported_ms=<=30", "top_k=2"))


def test_the_best_finalists_below_the_ceiling_win_and_no_more_are_timed(root, monkeypatch):
    limited = ceiling(root, monkeypatch, a=31.0, b=30.0, c=5.0)
    kept = limited.kept(outcome("a", "b", "c", "d"))
    assert [winner.architecture for winner in kept.winners] == ["b", "c"]
    assert len(kept.finalists) == 4
    assert limited.measured == {"a": 31.0, "b": 30.0, "c": 5.0}


def test_where_no_finalist_is_below_the_ceiling_the_fastest_is_named(root, monkeypatch):
    with pytest.raises(RunError, match=r"the fastest of 2 takes 32\.0 ms"):
        ceiling(root, monkeypatch, a=33.0, b=32.0).kept(outcome("a", "b"))


def test_a_finalist_above_the_ceiling_is_not_retrained_as_a_winner(root, tmp_path):
    of = setup(root, "budget.exported_ms=<=30", "top_k=1")
    drawn = [of.space.decode(of.space.sample(np.random.default_rng(seed))) for seed in (0, 1)]
    slow, fast = ({"rank": 1, "architecture": str(one), "score": 0.5} for one in drawn)
    (tmp_path / "search").mkdir()
    write_json(tmp_path / "search/result.json", {"winners": [fast], "finalists": [slow, fast]})
    run = SimpleNamespace(setup=of, folder=tmp_path)
    assert [str(choice.architecture) for choice in chosen(run)] == [fast["architecture"]]


def test_of_draws_beside_a_search_the_best_below_the_ceiling_counts_if_there_is_one(root, monkeypatch):
    limited = ceiling(root, monkeypatch, a=33.0, b=12.0)
    draws = outcome("a", "b").finalists
    assert [limited.below(found, 1) for found in (draws, draws[:1])] == [[draws[1]], []]


def test_without_the_option_nothing_is_timed(root):
    assert ExportedCeiling.of(setup(root)) is None


@pytest.mark.parametrize("wrong", ["30", "<=fast", "<=0", "baseline"])
def test_a_ceiling_is_behind_a_less_or_equal(root, wrong):
    with pytest.raises(ConfigError, match=r"budget\.exported_ms is a ceiling, <=NUMBER"):
        ExportedCeiling.of(setup(root, f"budget.exported_ms={wrong}"))


def test_an_architecture_is_timed_as_the_graph_of_its_whole_detector(root, monkeypatch):
    seen = []

    def write(graph, shape, path, metadata):
        seen.append((type(graph.detector).__name__, shape))
        find_first_values(path, shape)

    monkeypatch.setattr(exported_ceiling, "write_graph", write)
    limited = ExportedCeiling.of(setup(root, "budget.exported_ms=<=30"))
    space = limited.setup.space
    assert limited._time(space.decode(space.sample(np.random.default_rng(0))), ["a"]) > 0
    assert seen == [("FasterRCNN", (3, 64, 64))]
