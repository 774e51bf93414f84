"""A search with several objectives: the whole front is the answer, and its hypervolume is seen to grow."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import headless_browser
import numpy as np
import pytest
from synthetic_run import make_run

from msnas.config.compose import compose
from msnas.errors import ConfigError
from msnas.families.front import check_objectives, lines_of
from msnas.files import read_json
from msnas.report.page import report
from msnas.setup.setup import Setup

WORDS = ("strategy=nsga2", "budget=none", "strategy.minimise=[macs,params]")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a search for AP against MACs and parameters."""
    return make_run(tmp_path_factory.mktemp("runs"), "front", upto="search", words=WORDS)


@pytest.fixture(scope="module")
def page(run: Path) -> Path:
    """Its report."""
    return report([run])


def test_the_whole_front_is_in_the_result(run: Path, page: Path, embedded: Callable[[Path], Any]) -> None:
    front = read_json(run / "search" / "result.json")["front"]
    scored = [e for e in embedded(page)["runs"][0]["evaluations"] if e["ap"] is not None]
    points = {e["architecture"]: (-e["ap"], e["macs"], e["params"]) for e in scored}

    def beaten(point: tuple[float, ...]) -> bool:
        return any(other != point and all(np.array(other) <= point) for other in points.values())

    assert {row["architecture"] for row in front} == {a for a, point in points.items() if not beaten(point)}
    assert len(front) > len(read_json(run / "search" / "result.json")["winners"])


def test_finalists_of_the_front_have_their_second_score(run: Path) -> None:
    result = read_json(run / "search" / "result.json")
    again = {row["architecture"]: row["score_again"] for row in result["front"]}
    assert all(again[winner["architecture"]] == winner["score"] for winner in result["winners"])
    assert None in again.values()


def test_the_hypervolume_of_every_generation_is_in_the_page(page: Path, embedded: Callable[[Path], Any]) -> None:
    rows = embedded(page)["runs"][0]["hypervolume"]
    values = [row["hypervolume"] for row in rows]
    assert [row["generation"] for row in rows] == list(range(6))
    assert values == sorted(values)
    assert values[-1] > values[0] > 0


def test_the_front_is_printed_with_its_costs(run: Path) -> None:
    front = read_json(run / "search" / "result.json")["front"]
    lines = lines_of(front)
    assert len(lines) == len(front)
    assert f"macs {front[0]['macs']:,}  params {front[0]['params']:,}" in lines[0]


def test_a_search_for_one_best_has_no_front(tmp_path: Path) -> None:
    assert 'data-chart="hypervolume"' not in report([make_run(tmp_path, upto="search")]).read_text()


def test_an_objective_that_nobody_measured_is_refused_before_anything_is_scored() -> None:
    config = compose(["scale=tiny", "input=64x64", "budget=none", "strategy=nsga2", "strategy.minimise=[seconds]"])
    with pytest.raises(ConfigError, match="macs, params, but got 'seconds'"):
        check_objectives(Setup(config).strategy, Setup(config).bounded_space)


@pytest.mark.skipif(headless_browser.chromium() is None, reason="no Chromium here; on Debian: apt-get install chromium")
def test_the_chart_is_drawn_without_an_error(page: Path) -> None:
    with headless_browser.page() as tab:
        tab.open(page, width=1200, height=900)
        drawn = "document.querySelectorAll('[data-chart=hypervolume] svg path.best').length"
        assert tab.evaluate(drawn) == 1
        assert tab.errors == []
