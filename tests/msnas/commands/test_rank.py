"""`msnas rank` end to end on a handful of drawn images: complete, stopped and given again, made larger."""

import json

import pytest
import torch

from msnas.cli import main
from msnas.config.compose import compose
from msnas.errors import ConfigError
from msnas.files import read_json
from msnas.pipeline import rank_networks, trainings
from msnas.pipeline.rank_networks import recipe_named, sample_networks
from msnas.pipeline.rank_table import RECIPES
from msnas.setup.open_run import open_new
from msnas.setup.setup import Setup
from supernet.strides.architecture import Architecture

WORDS = (
    "scale=tiny data=shapes data.size=64 data.short_side=64 data.long_side=64 data.train=24 data.val=8 "
    "data.search_val.minimum=6 schedule.batch=4 train.steps=8 hardware.train_threads=1 "
    "space.channels=8 baseline.channels=8 budget.macs=13e6 budget.tolerance=0.1 baseline.scaled=false "
    "candidate.batch=4 candidate.iterations=1 candidate.bn_images=16 retrain.steps=3 top_k=1"
)
SMALL = WORDS.split()


def stage(name, root, *words):
    return main([name, "run=r", f"runs_root={root}", f"data.root={root.parent / 'shapes'}", *SMALL, *words])


def results(root):
    """All results in the order of their networks, without what depends on the clock."""
    found = [read_json(path) for path in sorted((root / "r" / "rank").glob("*/result.json"))]
    return [{key: value for key, value in one.items() if key != "seconds"} for one in found]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run folder's root with a trained supernet."""
    root = tmp_path_factory.mktemp("rank") / "runs"
    threads = torch.get_num_threads()
    assert stage("train", root) == 0
    yield root
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def whole(trained):
    """Three networks ranked without a stop."""
    assert stage("rank", trained, "n=3") == 0
    return trained


def test_every_network_has_all_scores_and_two_trainings(whole):
    found = results(whole)
    assert len(found) == 3
    assert all(set(one["scores"]) == {*RECIPES, "random"} for one in found)
    assert all(0 <= ap <= 1 for one in found for ap in (*one["scores"].values(), *one["standalone"]))
    assert all(11_700_000 <= one["macs"] <= 14_300_000 and 0 < one["anchor_recall"] <= 1 for one in found)


def test_every_training_is_judged_after_half_of_its_steps_and_without_its_residual_branches(whole, capsys):
    for path in (whole / "r" / "rank").glob("*/seed*"):
        assert read_json(path / "half.json")["steps"] == 1
    for one in results(whole):
        assert len(one["standalone_half"]) == len(one["without_residuals"]) == 2
        assert all(0 <= ap <= 1 for ap in (*one["standalone_half"], *one["without_residuals"]))
    assert stage("rank", whole, "n=3") == 0
    told = capsys.readouterr().out
    assert "half the schedule against the full one" in told
    assert "By removing the residual branches: trunks carry" in told


def test_paths_behind_a_prefix_are_ranked_by_the_strides_that_they_have(tmp_path):
    backbone = ["space.backbone=mobilenetv3_small_050", "backbone.weights=none", "backbone.train=full"]
    words = ["space=msnas_timm", *backbone, "budget.macs=null"]
    assert [stage("train", tmp_path / "runs", *words), stage("rank", tmp_path / "runs", "n=2", *words)] == [0, 0]
    for one in results(tmp_path / "runs"):
        strides = Architecture.parse(one["architecture"]).feature_strides(start=16)
        assert one["mean_stride"] == sum(strides) / len(strides)


def test_the_second_training_begins_with_other_weights(whole):
    folder = next((whole / "r" / "rank").glob("01-*"))
    weights = [(folder / f"seed{seed}" / "model.safetensors").read_bytes() for seed in (0, 1)]
    assert weights[0] != weights[1]


def test_a_ranking_that_is_complete_is_told_again_without_work(whole, capsys, monkeypatch):
    monkeypatch.setattr(Setup, "splits", None)  # the data is not even opened
    assert stage("rank", whole, "n=3", "--json") == 0
    table = json.loads(capsys.readouterr().out)
    assert (table["networks"], table["verdict"]["given"]) == (3, False)


def test_three_networks_are_refused_a_verdict(whole, capsys):
    assert stage("rank", whole, "n=3") == 0
    assert "No verdict: 3 networks are too few" in capsys.readouterr().out


def test_a_ranking_under_other_options_is_refused(whole, capsys):
    assert stage("rank", whole, "n=3", "candidate.iterations=2") == 2
    assert "candidate.iterations=1, but got candidate.iterations=2" in capsys.readouterr().err


@pytest.mark.parametrize(("module", "name"), [(rank_networks, "evaluator"), (trainings, "train_entry")])
def test_a_stopped_ranking_goes_on_to_the_same_numbers(whole, tmp_path, monkeypatch, module, name):
    """Stopped at the fourth score, or at the fourth training; what was there is not made again."""
    root = tmp_path / "runs"
    (root / "r").mkdir(parents=True)
    for part in ("config.yaml", "words.json"):
        (root / "r" / part).write_bytes((whole / "r" / part).read_bytes())
    (root / "r" / "supernet").symlink_to(whole / "r" / "supernet")
    (tmp_path / "shapes").symlink_to(whole.parent / "shapes")
    calls, real = [], getattr(module, name)

    def stopping(*arguments, **options):
        calls.append(arguments)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(module, name, stopping)
        assert stage("rank", root, "n=3") == 130
    before = {path: path.stat().st_mtime_ns for path in root.glob("r/rank/*/seed*/result.json")}
    assert results(root) == []
    assert stage("rank", root, "n=3") == 0
    assert results(root) == results(whole)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_larger_n_keeps_the_networks_that_are_there(whole):
    setup = Setup(compose([*SMALL, "input=64x64"]))
    assert sample_networks(setup, whole, n=6)[:3] == sample_networks(setup, whole, n=3)


def test_more_networks_than_the_budget_holds_are_refused(whole):
    cheapest, _ = Setup(compose([*SMALL, "input=64x64"])).space.cost_range()
    config = compose([*SMALL, "input=64x64", f"budget.macs={cheapest}", "budget.mode=ceiling"])
    with pytest.raises(ConfigError, match=r"holds only \d+ networks to draw, but got n=100"):
        sample_networks(Setup(config), whole, n=100)


def test_a_run_without_a_supernet_says_what_to_do_first(tmp_path, capsys):
    open_new([*SMALL, f"runs_root={tmp_path}", "run=r"])
    assert stage("rank", tmp_path, "n=3") == 2
    assert "finish it with `msnas train run=r`" in capsys.readouterr().err


def test_raw_learns_nothing_and_random_is_finetuned():
    family = Setup(compose([*SMALL, "input=64x64"])).family
    assert not recipe_named(family, "raw").finetunes
    assert not recipe_named(family, "bn").finetunes
    assert recipe_named(family, "random").finetunes
    assert recipe_named(family, "bn+finetune").estimates
