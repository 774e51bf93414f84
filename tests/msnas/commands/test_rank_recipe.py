"""A supernet's run whose networks are trained alone by a recipe of their own: what follows, ranking, estimate."""

import json

import pytest
import torch
from tiny_words import TINY, fitting

from msnas.cli import main
from msnas.files import read_json, write_json
from msnas.setup.open_run import open_existing

SEARCHED = ["space=msnas_7", "scale=tiny", "data=shapes", "budget=none"]
LARGER = ["retrain.data.short_side=96", "retrain.data.long_side=96"]


def words(root, *more):
    return [*fitting(TINY, more), *more, f"runs_root={root}", f"data.root={root.parent / 'shapes'}"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    threads = torch.get_num_threads()
    yield tmp_path_factory.mktemp("ranked") / "runs"
    torch.set_num_threads(threads)


def test_what_a_run_gave_the_search_is_what_retraining_follows(root):
    given = words(root, *SEARCHED, "run=f", "schedule.lr=0.005")
    assert main(["train", *given]) == 0
    run = open_existing(["run=f", f"runs_root={root}", "retrain.schedule.epochs=60"], stage="search")
    assert run.setup.retraining_changes == {"schedule.epochs": 60}
    assert run.setup.for_retraining.schedule.lr == 0.005


def test_rank_scores_as_the_search_and_trains_as_retraining(root):
    assert main(["rank", "run=f", f"runs_root={root}", "n=2", *LARGER]) == 0
    sides = {read_json(path)["preprocessing"]["short_side"] for path in root.glob("f/rank/*/seed*/model.json")}
    assert sides == {96}
    [alone, *_] = [read_json(path)["macs"] for path in root.glob("f/rank/01-*/seed0/result.json")]
    [scored] = [read_json(path)["macs"] for path in root.glob("f/rank/01-*/result.json")]
    assert alone > scored


def test_networks_that_were_ranked_by_another_recipe_are_refused(root, capsys):
    assert main(["rank", "run=f", f"runs_root={root}", "n=2", "retrain.data.short_side=64"]) == 2
    assert "The ranking of run f was made with retrain.data.long_side=96, but got" in capsys.readouterr().err


def test_a_ranking_goes_on_on_no_other_kind_of_device(root, capsys):
    file = root / "f" / "rank" / "setting.json"
    made_with = read_json(file)
    write_json(file, {**made_with, "hardware": {"device": "cuda", "precision": "bf16"}})
    assert main(["rank", "run=f", f"runs_root={root}", "n=2", *LARGER]) == 2
    assert "was made with hardware.device=cuda, but got hardware.device=cpu" in capsys.readouterr().err
    write_json(file, made_with)


def test_an_estimate_is_of_the_recipe_of_retraining(root, capsys):
    given = words(root, *SEARCHED, "retrain.schedule.batch=2", *LARGER)
    assert main(["retrain", "1,2,2,1,2,1,1|8,8,16,16,32", *given, "--estimate", "--json"]) == 0
    [told] = json.loads(capsys.readouterr().out)
    assert told["work"].endswith("1 steps of 2 images")
