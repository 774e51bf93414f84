"""Networks of several sizes on the page: beside which FPN, with which interval, against MACs and milliseconds."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import headless_browser
import pytest
from page_text import Text

from msnas.files import read_json, write_json
from msnas.report.page import report
from msnas.report.sizes import size_pairs, sizes_sentence


@pytest.fixture(scope="module")
def page(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run with three networks along a front, two of them beside an FPN of their size."""
    folder = tmp_path_factory.mktemp("sizes") / "shapes-001"
    shutil.copytree(run, folder)
    for number, path in enumerate(sorted((run / "retrain").glob("0*/result.json")), start=1):
        shutil.copytree(path.parent, folder / "front" / f"{number:02d}-x")
        row = {**read_json(path), "name": f"front {number}", "macs": number * 50_000_000, "role": "front"}
        write_json(folder / "front" / f"{number:02d}-x" / "result.json", row)
        if number < 3:
            other = folder / "front" / f"baseline-fpn-{number:02d}"
            shutil.copytree(run / "retrain" / "baseline-fpn", other)
            changed = {"name": f"FPN {number}", "macs": number * 51_000_000, "role": "fpn"}
            write_json(other / "result.json", {**read_json(other / "result.json"), **changed})
    times = {"front 1": 1.5, "front 2": 2.5, "front 3": 3.5, "FPN 1": 1.25, "FPN 2": 2.25}
    device = {"device": "A quiet CPU", "precision": "fp32", "threads": 1}
    write_json(folder / "front" / "latency.json", {**device, "images": 4, "whole_ms": times})
    return report([folder])


def test_networks_stand_beside_the_fpn_of_their_size(page: Path, embedded: Callable[[Path], Any]) -> None:
    rows = {row["name"]: row for row in embedded(page)["runs"][0]["sizes"]}
    assert [rows[f"front {n}"]["fpn_size"] for n in (1, 2, 3)] == ["FPN 1", "FPN 2", None]
    interval = rows["front 1"]["intervals"]["difference"]
    assert interval["low"] <= rows["front 1"]["difference"] <= interval["high"]


def test_the_page_shows_milliseconds_and_the_device_that_they_are_of(page: Path) -> None:
    words = Text(page).words
    assert "2.50" in words
    assert (
        "box head and NMS included, for one image: the median over 4 images and several rounds, measured on A quiet CPU"
        in words
    )


def test_one_training_judges_nothing() -> None:
    found = {"ap": 0.3, "macs": 5e7, "baseline": False, "fpn_size": "FPN 1", "difference": 0.1}
    interval = {"value": 0.1, "low": 0.05, "high": 0.15, "trainings": 1}
    assert "none of the differences can be judged" in sizes_sentence([{**found, "intervals": {"difference": interval}}])


def test_three_trainings_judge_by_the_interval() -> None:
    found = {"ap": 0.3, "macs": 5e7, "baseline": False, "fpn_size": "FPN 1", "difference": 0.1}
    interval = {"value": 0.1, "low": 0.05, "high": 0.15, "trainings": 3}
    assert "1 are ahead and 0 behind" in sizes_sentence([{**found, "intervals": {"difference": interval}}])


def test_an_fpn_of_another_size_is_no_pair() -> None:
    front = [{"name": "front 1", "macs": 100}, {"name": "FPN 1", "macs": 120, "role": "fpn"}]
    assert size_pairs(front) == {}


def test_a_page_without_a_front_says_nothing_of_sizes(run: Path) -> None:
    assert "From small to large" not in Text(report([run])).words


@pytest.mark.skipif(headless_browser.chromium() is None, reason="no Chromium here; on Debian: apt-get install chromium")
def test_both_charts_are_drawn_without_an_error(page: Path) -> None:
    with headless_browser.page() as tab:
        tab.open(page, width=1200, height=900)
        assert tab.evaluate("document.querySelectorAll('[data-chart=sizes] svg circle.size').length") == 10
        assert tab.errors == []
