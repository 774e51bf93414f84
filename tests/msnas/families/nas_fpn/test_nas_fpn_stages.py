"""`msnas search experiment=nas_fpn` from nothing, then `retrain`: stages that need no supernet."""

import pytest

from msnas.cli import main
from msnas.files import read_json

SMALL = ["experiment=nas_fpn", "data=shapes", "scale=tiny", "data.size=64", "data.train=24", "data.val=6"]
SMALL += ["data.short_side=64", "data.long_side=64", "data.search_val.minimum=4", "data.workers=0"]
SMALL += ["space.top_level=6", "space.num_cells=5", "space.channels=8", "space.stacks=1", "baseline.width=0.125"]
SMALL += ["candidate.iterations=2", "strategy.population_size=2", "strategy.children=1", "strategy.iterations=1"]
SMALL += [
    "search.finalists=2",
    "search.replicates=1",
    "schedule.batch=4",
    "retrain.steps=2",
    "retrain.seeds=1",
    "top_k=1",
    "run=small",
]


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nas_fpn")
    return [*SMALL, f"runs_root={folder}", f"data.root={folder / 'shapes'}"], folder / "small"


def test_a_search_begins_its_own_run_and_is_not_done_twice(words, capsys):
    options, run = words
    assert main(["search", *options]) == 0
    result = read_json(run / "search" / "result.json")
    assert (result["evaluated"], result["failed"]) == (5, 0)
    assert main(["search", *options]) == 0
    assert "complete" in capsys.readouterr().out


def test_the_winner_the_fpn_and_a_spread_of_the_scores_are_retrained(words):
    options, run = words
    assert main(["retrain", *options, "retrain.spread=2"]) == 0
    rows = {row["name"]: row for row in read_json(run / "retrain" / "table.json")["rows"]}
    assert rows.keys() == {"winner 1", "FPN baseline", "spread 1", "spread 2"}
    assert rows["spread 1"]["one_shot"] <= rows["spread 2"]["one_shot"]
    assert len({row["architecture"] for row in rows.values()}) == 4


def test_there_is_no_supernet_to_train(words, capsys):
    assert main(["train", *words[0]]) == 2
    assert "go on with `msnas search`" in capsys.readouterr().err
