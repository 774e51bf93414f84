"""The charts of a controller's samples, after NAS-FPN's Fig. 5."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import headless_browser
import pytest
from synthetic_run import make_run

from evolution.strategy import Evaluation
from msnas.report.page import report
from msnas.report.samples import genomes_drawn, samples_of

CONTROLLER = ("space=nas_fpn", "budget=none", "input=128x128", "strategy=controller", "strategy.hidden=8")
CONTROLLER += ("strategy.population_size=6", "strategy.children=6", "strategy.iterations=3")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a search by the controller."""
    words = CONTROLLER
    return report([make_run(tmp_path_factory.mktemp("runs"), "drawn", upto="search", words=words)])


def scored(generation: int, *rewards: float) -> list[Evaluation]:
    return [Evaluation(genome=(generation, i), score=(r,), generation=generation) for i, r in enumerate(rewards)]


def test_samples_and_different_architectures_are_counted_from_the_beginning() -> None:
    generations = [
        {"generation": 0, "attempts": 4, "children": 2, "reward": 0.25, "reward_spread": 0.1},
        {"generation": 1, "attempts": 10, "children": 1, "reward": 0.5, "reward_spread": 0.2},
    ]
    found = samples_of(generations, [*scored(0, 0.1, 0.3), *scored(1, 0.5)])
    assert [(row["total"], row["unique"], row["mean"]) for row in found["rows"]] == [(4, 2, 0.25), (14, 3, 0.5)]
    assert [(one["sample"], one["reward"]) for one in found["rewards"]] == [(1.0, 0.1), (3.0, 0.3), (9.0, 0.5)]


def test_genomes_are_in_the_order_they_were_drawn_and_those_of_a_generation_without_a_record_as_scored() -> None:
    generations = [{"generation": 0}, {"generation": 1, "drawn": [[1, 0], [0, 1], [1, 0]]}]
    evaluations = [*scored(0, 0.1, 0.3), *scored(1, 0.5), *scored(2, 0.6)]
    assert genomes_drawn(generations, evaluations) == [(0, 0), (0, 1), (1, 0), (0, 1), (1, 0), (2, 0)]


def test_a_strategy_without_a_policy_has_no_samples() -> None:
    assert samples_of([{"generation": 0, "attempts": 4, "children": 2}], scored(0, 0.1)) == {}


def test_the_page_holds_every_sample_of_the_run(page: Path, embedded: Callable[[Path], Any]) -> None:
    shown = embedded(page)["runs"][0]
    last = shown["samples"]["rows"][-1]
    assert last["total"] == sum(record["attempts"] for record in shown["generations"])
    assert last["unique"] == len(shown["evaluations"])
    assert all(row["mean"] is not None for row in shown["samples"]["rows"])


def test_a_search_by_evolution_shows_no_such_chart(tmp_path: Path) -> None:
    text = report([make_run(tmp_path, upto="search")]).read_text()
    assert 'data-chart="rewards"' not in text


@pytest.mark.skipif(headless_browser.chromium() is None, reason="no Chromium here; on Debian: apt-get install chromium")
def test_both_charts_are_drawn_without_an_error(page: Path) -> None:
    with headless_browser.page() as tab:
        tab.open(page, width=1200, height=900)
        drawn = "(name) => document.querySelectorAll(`[data-chart=${name}] svg path.best`).length"
        assert tab.evaluate(f"['rewards', 'uniques'].map({drawn})") == [1, 1]
        assert tab.errors == []
