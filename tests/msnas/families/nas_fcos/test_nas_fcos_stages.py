"""`msnas search experiment=nas_fcos` from nothing, then every later stage, killed in between or not."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from evolution.errors import StrategyError
from evolution.history import History
from msnas.cli import main
from msnas.files import read_json
from msnas.pipeline import supernet_training
from msnas.pipeline.retraining import chosen
from msnas.pipeline.score_spread import spread_choices
from msnas.runs.progress import Progress
from msnas.setup.open_run import open_existing
from supernet.nas_fcos.decoder import Decoder

SMALL = ["experiment=nas_fcos", "data=shapes", "scale=tiny", "data.size=64", "data.train=24", "data.val=6"]
SMALL += ["data.short_side=64", "data.long_side=64", "data.search_val.minimum=4", "data.workers=0"]
SMALL += ["space.blocks=4", "space.channels=8", "heads.layers=2", "heads.channels=8", "heads.training=2"]
SMALL += [
    "baseline.width=0.125",
    "baseline.channels=8",
    "network.channels=8",
    "candidate.iterations=1",
    "candidate.batch=4",
]
SMALL += ["strategy.population_size=2", "strategy.children=1", "strategy.iterations=1", "heads.population_size=2"]
SMALL += ["heads.children=1", "heads.iterations=1", "search.finalists=2", "search.replicates=1", "schedule.batch=4"]
SMALL += [
    "train.steps=4",
    "retrain.steps=2",
    "retrain.seeds=1",
    "train.checkpoint_every=2",
    "top_k=1",
    "hardware.train_threads=1",
]


class KilledError(BaseException):
    """What nobody catches."""


def stage(name: str, root: Path, *words: str) -> int:
    return main([name, "run=r", f"runs_root={root}", f"data.root={root.parent / 'shapes'}", *SMALL, *words])


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that was never interrupted."""
    root = tmp_path_factory.mktemp("nas_fcos") / "runs"
    assert [stage("search", root), stage("retrain", root)] == [0, 0]
    return root / "r"


def test_a_search_trains_the_backbone_first(whole):
    assert (whole / "supernet" / "weights.safetensors").exists()
    assert read_json(whole / "supernet" / "done.json")["steps"] == 4


def test_what_a_search_will_cache_is_said_before_the_backbone_is_trained(tmp_path, monkeypatch, caplog):
    def killed(*_, **__):
        raise KilledError

    monkeypatch.setattr(supernet_training, "train", killed)
    with caplog.at_level("INFO", "msnas"), pytest.raises(KilledError):
        stage("train", tmp_path / "runs")
    [said] = [message for message in caplog.messages if message.startswith("The search will cache")]
    assert "in memory (cache.memory_limit is 4.0 GB), 0 bytes on disk" in said


def test_both_halves_are_searched(whole):
    result = read_json(whole / "search" / "result.json")
    counts = [_evaluations(whole / "search" / name) for name in ("history.sqlite", "head.sqlite")]
    assert (counts, result["evaluated"], result["failed"]) == ([5, 5], 10, 0)


def test_winners_are_whole_decoders(whole):
    [winner] = read_json(whole / "search" / "result.json")["winners"]
    decoder = Decoder.parse(winner["architecture"])
    assert (len(decoder.pyramid.blocks), len(decoder.head.ops)) == (4, 2)


def test_a_search_that_is_complete_is_not_done_again(whole, capsys):
    assert stage("search", whole.parent) == 0
    assert "complete" in capsys.readouterr().out


def test_the_winner_and_fcos_are_retrained(whole):
    rows = read_json(whole / "retrain" / "table.json")["rows"]
    assert {row["name"] for row in rows} == {"winner 1", "FPN baseline"}


def test_a_spread_of_the_scores_is_of_heads_on_the_pyramid_that_was_found(whole):
    run = open_existing([*SMALL, "run=r", f"runs_root={whole.parent}", f"data.root={whole.parent.parent / 'shapes'}"])
    setup = SimpleNamespace(retrain=SimpleNamespace(spread=2), family=run.setup.family)
    [winner] = chosen(run)
    spread = spread_choices(SimpleNamespace(folder=run.folder, setup=setup), [winner])
    assert [one.one_shot for one in spread] == sorted(one.one_shot for one in spread)
    assert {one.architecture.pyramid for one in spread} == {winner.architecture.pyramid}
    assert winner.architecture not in {one.architecture for one in spread}


def test_the_table_of_the_networks_shows_rewards(whole, capsys):
    assert stage("retrain", whole.parent) == 0
    shown, [winner] = capsys.readouterr().out, read_json(whole / "search" / "result.json")["winners"]
    assert "reward" in shown.splitlines()[0]
    assert f"{winner['score']:.4f}" in shown


def test_a_ranking_is_refused_without_a_supernet(whole, capsys):
    assert stage("rank", whole.parent) == 2
    assert "candidates of space=nas_fcos_fpn share no weights" in capsys.readouterr().err


def test_eval_repeats_the_numbers_of_the_retraining(whole, capsys, tmp_path):
    folder = next((whole / "retrain").glob("01-*"))
    shapes = f"data.root={whole.parent.parent / 'shapes'}"
    assert main(["eval", str(folder), *SMALL, shapes, f"out={tmp_path / 'found.json'}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ap"] == read_json(folder / "result.json")["ap"]


def test_the_winner_is_exported_and_predicts(whole, tmp_path):
    out = tmp_path / "winner"
    assert main(["export", "run=r", f"runs_root={whole.parent}", f"out={out}"]) == 0
    images = next((whole.parent.parent / "shapes").rglob("*.png")).parent
    assert main(["predict", str(out), str(images), str(tmp_path / "pictures"), "score=0"]) == 0


def test_the_status_of_a_run_that_is_complete_says_what_is_next(whole, capsys):
    assert main(["status", "r", f"runs_root={whole.parent}"]) == 0
    told = capsys.readouterr().out
    assert "backbone" in told
    assert "msnas report" in told


def test_another_backbone_is_refused_once_it_is_trained(whole, capsys):
    assert stage("search", whole.parent, "backbone.decoder_channels=16") == 2
    assert "backbone.decoder_channels=8, but got backbone.decoder_channels=16" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["train", "search"])
@pytest.mark.parametrize(("word", "told"), [
    ("hardware.workers=2", "hardware.workers must be 0, but got 2"),
    ("hardware=ray", "hardware.engine must be local, but got ray"),
    ("search.random=true", "give search.random=false"),
    ("data.selection=0.3", "data.selection must be 0, but got 0.3"),
])  # fmt: skip
def test_what_the_search_refuses_is_told_before_the_backbone_is_trained(name, word, told, tmp_path, capsys):
    assert stage(name, tmp_path / "runs", word) == 2
    assert told in capsys.readouterr().err
    assert not list(tmp_path.glob("runs/*"))


@pytest.mark.parametrize("words", [
    ["candidate.reward=ap"],
    ["strategy=random"],
    ["strategy=regularized", "strategy.sample_size=2"],
    ["strategy=algorithm1", "strategy.n_random=1"],
    ["space=nas_fcos_head", "space.channels=8", "space.layers=2"],
])  # fmt: skip
def test_other_rewards_strategies_and_spaces_run(words, tmp_path):
    counts = [word for word in SMALL if word.startswith("strategy.")]
    heads = "space=nas_fcos_head" in words
    own = [w for w in SMALL if not w.startswith(("strategy.", *(("heads.", "space.") if heads else ())))]
    options = [*own, *words, *counts, f"runs_root={tmp_path}", f"data.root={tmp_path / 'shapes'}", "run=other"]
    assert main(["search", *options]) == 0
    assert read_json(tmp_path / "other" / "search" / "result.json")["failed"] == 0


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """The same search, killed while the backbone trains, in either half, and then given again."""
    root = tmp_path_factory.mktemp("killed") / "runs"
    signs = (
        lambda: (root / "r" / "supernet" / "checkpoint.pt").exists(),
        lambda: _evaluations(root / "r" / "search" / "history.sqlite") >= 2,
        lambda: _evaluations(root / "r" / "search" / "head.sqlite") >= 2,
    )
    for sign in signs:
        _kill_when(sign, root)  # by SIGKILL: `test_main_job`
        assert not (root / "r" / "search" / "done.json").exists()
    assert stage("search", root) == 0
    return root / "r"


def _kill_when(sign, root):
    """Let the search end in the middle, with what nobody catches, at the first progress after `sign`."""
    update = Progress.update

    def dying(self, *arguments, **options):
        if sign():
            raise KilledError
        update(self, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Progress, "update", dying)
        with pytest.raises(KilledError):
            stage("search", root)


def _evaluations(path: Path) -> int:
    try:
        with History.read(path) as history:
            return len(history.evaluations())
    except StrategyError:  # not there yet
        return 0


def test_a_killed_search_finds_the_same_winners(whole, killed):
    results = [read_json(run / "search" / "result.json") for run in (whole, killed)]
    assert results[0]["finalists"] == results[1]["finalists"]


def test_a_killed_search_scored_nothing_twice(whole, killed):
    names = ("history.sqlite", "head.sqlite")
    counts = [[_evaluations(run / "search" / name) for name in names] for run in (whole, killed)]
    assert counts[0] == counts[1]


def test_images_kept_for_the_finalists_are_refused(tmp_path, capsys):
    assert stage("search", tmp_path / "runs", "data.selection=0.5") == 2
    assert "data.selection must be 0, but got 0.5" in capsys.readouterr().err
