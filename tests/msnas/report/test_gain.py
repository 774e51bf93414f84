"""The winner's gain in parts, and what its trunk carries."""

import re
import shutil
from pathlib import Path

import pytest
from page_text import Text
from synthetic_run import make_run

from msnas.files import read_json, write_json
from msnas.report.gain import gain_rows
from msnas.report.page import report
from msnas.report.trunk_share import residuals_sentence

PLACES = {  # of the networks of a synthetic run: what each becomes
    "01-": ("winner 1", "winner"),
    "02-": ("random 1", "random"),
    "03-": ("random 2", "random"),
    "baseline-fpn": ("FPN baseline", "fpn"),
}


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three seeds whose networks have roles; the FPN with the winner's heads is a copy of random 1."""
    folder = make_run(tmp_path_factory.mktemp("runs"), "split", seeds=3) / "retrain"
    for path in folder.glob("02-*"):
        shutil.copytree(path, folder / path.name.replace("02-", "baseline-heads-"))
    for path in folder.glob("*/result.json"):
        places = (place for start, place in PLACES.items() if path.parent.name.startswith(start))
        name, role = next(places, ("FPN with its heads", "fpn_heads"))
        row = read_json(path)
        write_json(path, {**row, "name": name, "role": role, "ap_without_residuals": row["ap"] - 0.001})
    return folder.parent


def test_the_gain_is_split_into_heads_trunk_and_search(split: Path) -> None:
    words = Text(report([split])).words
    for part in ("heads", "trunk family", "search", "the mean of 2 random trunks", "together"):
        assert part in words


def test_a_winner_beside_its_fpn_alone_says_what_trains_the_networks_that_split_its_gain(tmp_path: Path) -> None:
    folder = make_run(tmp_path, "whole")
    for path in (folder / "retrain").glob("*/result.json"):
        name, role = ("FPN baseline", "fpn") if "fpn" in path.parent.name else ("winner 1", "winner")
        write_json(path, {**read_json(path), "name": name, "role": role})
    assert "msnas retrain run=whole retrain.random=3 trains the networks that tell" in Text(report([folder])).words


def test_a_gain_that_is_split_asks_for_no_more_networks(split: Path) -> None:
    assert "trains the networks that tell" not in Text(report([split])).words


def test_the_trunk_that_carries_nothing_is_told(split: Path) -> None:
    assert re.search(r"the trunk of winner 1 carries 0\.1 of [\d.]+ AP: train longer", Text(report([split])).words)


def test_parts_of_the_gain_add_up_to_the_difference() -> None:
    aps = {"winner": 0.5, "fpn": 0.4, "fpn_heads": 0.46, "random": 0.49}
    networks = [
        {"name": role, "role": role, "ap": ap, "intervals": {}, "baseline": role != "winner"}
        for role, ap in aps.items()
    ]
    assert [round(row["value"], 6) for row in gain_rows(networks)] == [0.06, 0.03, 0.01, 0.1]


def test_random_search_stands_beside_the_parts_and_is_none_of_them() -> None:
    aps = {"winner": 0.5, "fpn": 0.4, "fpn_heads": 0.46, "random": 0.49, "random_search": 0.48}
    networks = [
        {"name": role, "role": role, "ap": ap, "intervals": {}, "baseline": role != "winner"}
        for role, ap in aps.items()
    ]
    rows = {row["name"]: round(row["value"], 6) for row in gain_rows(networks)}
    assert rows == {"heads": 0.06, "trunk family": 0.03, "search": 0.01, "together": 0.1, "against random search": 0.02}


def test_networks_without_roles_have_no_parts() -> None:
    assert gain_rows([{"name": "winner 1", "role": None, "ap": 0.5, "intervals": {}, "baseline": False}]) == []


def test_a_trunk_that_works_needs_no_advice() -> None:
    row = {"name": "winner 1", "ap": 0.5, "ap_without_residuals": 0.1, "baseline": False, "fpn": False}
    assert (
        residuals_sentence([row]) == "By removing the residual branches: the trunk of winner 1 carries 40.0 of 50.0 AP."
    )
