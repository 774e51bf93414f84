"""Random search beside a search: as many networks, scored alike, the best of them trained beside the winner."""

import pytest
import torch
from tiny_words import TINY, fitting

from evolution.history import History
from msnas.engine.checkpoint import save_weights
from msnas.errors import ConfigError
from msnas.families.initial_weights import pretraining_network
from msnas.files import read_json, write_json
from msnas.pipeline.random_beside import check_random_search
from msnas.pipeline.retraining import chosen, drawn_at_random
from msnas.pipeline.searching import search
from msnas.report.page import report
from msnas.setup.open_run import open_new

ONE = ["space=msnas_7", "scale=tiny", "data=shapes", "budget=none", "run=r"]
WORDS = [*fitting(TINY, ONE), *ONE, "data.train=12", "candidate.recipe=bn", "search.random=true", "top_k=1"]
WORDS += ["strategy.population_size=3", "strategy.children=2", "strategy.n_random=1", "strategy.iterations=1"]
WORDS += ["search.finalists=2", "search.replicates=0"]
CLASSES = ("a", "b", "c", "d", "e")  # as many as the drawn data have


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A run whose supernet is as it began, searched."""
    threads = torch.get_num_threads()
    root = tmp_path_factory.mktemp("beside")
    run = open_new([*WORDS, f"runs_root={root}", f"data.root={root / 'shapes'}"])
    save_weights(run.stage("supernet") / "weights.safetensors", pretraining_network(run.setup.family, CLASSES, seed=7))
    write_json(run.stage("supernet") / "done.json", {})
    search(run, ("search",))
    yield run
    torch.set_num_threads(threads)


def scored(path):
    with History.read(path / "history.sqlite") as history:
        return [evaluation.genome for evaluation in history.evaluations()]


@pytest.mark.parametrize("place", ["search", "search/random_search"])
def test_both_histories_belong_to_the_device_that_scored(searched, place):
    with History.read(searched.folder / place / "history.sqlite") as history:
        assert history.fingerprint["device"] == history.evaluations()[0].recipe["device"]
        assert history.fingerprint["precision"] == history.evaluations()[0].recipe["precision"]


def test_as_many_networks_are_drawn_as_were_searched(searched):
    searched_for, drawn = scored(searched.folder / "search"), scored(searched.folder / "search" / "random_search")
    assert len(set(drawn)) == len(set(searched_for)) == 6


def test_the_first_draws_are_those_of_the_search(searched):
    searched_for, drawn = scored(searched.folder / "search"), scored(searched.folder / "search" / "random_search")
    assert drawn[:3] == searched_for[:3]


def beside_when_drawn(searched, architecture):
    """What is trained beside the winner where random search had found that architecture."""
    path = searched.folder / "search" / "result.json"
    result = read_json(path)
    write_json(path, {**result, "random_search": {**result["random_search"], "architecture": architecture}})
    try:
        return [(beside.text, role) for beside, role in drawn_at_random(searched, chosen(searched))]
    finally:
        write_json(path, result)


def test_the_best_draw_stands_beside_the_winner(searched):
    other = "1,2,1,1,1,0.5,1|4,4,8,8,8"
    assert beside_when_drawn(searched, other) == [(other, "random_search")]


def test_what_both_found_is_not_trained_twice(searched):
    winner = str(chosen(searched)[0].architecture)
    assert beside_when_drawn(searched, winner) == []


def test_the_report_tells_what_random_search_found(searched):
    assert "As many uniform draws, scored alike" in report([searched.folder]).read_text()


def test_two_halves_of_a_search_are_refused(tmp_path):
    words = ["space=nas_fcos_head", "detector=fcos", "scale=tiny", "data=shapes", "run=f", f"runs_root={tmp_path}"]
    family = open_new(words).setup.family
    with pytest.raises(ConfigError, match=r"search\.random"):
        check_random_search(family)
