"""A page whose winner has two starts, from scratch and from the supernet: both rows, and which was chosen."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from page_text import Text

from msnas.files import read_json, write_json
from msnas.report.page import report


@pytest.fixture(scope="module")
def page(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run whose first two networks are the two starts of one winner."""
    folder = tmp_path_factory.mktemp("starts") / "shapes-001"
    shutil.copytree(run, folder)
    for path in (folder / "retrain").glob("*/result.json"):
        row = {**read_json(path), "start": "scratch", "steps": 900}
        if path.parent.name.startswith("01-"):
            row |= {"name": "winner 1, from scratch", "role": "other start", "one_shot": None}
        if path.parent.name.startswith("02-"):
            row |= {"name": "winner 1, from the supernet", "role": "winner", "start": "supernet", "steps": 225}
        write_json(path, row)
    return report([folder])


def test_every_row_shows_its_start_and_steps(page: Path) -> None:
    words = Text(page).words
    assert re.search(r"winner 1, from the supernet ?supernet, 225", words)
    assert re.search(r"winner 1, from scratch ?scratch, 900", words)


def test_what_search_val_chose_stands_for_the_search(page: Path, embedded: Callable[[Path], Any]) -> None:
    networks = embedded(page)["runs"][0]["networks"]
    assert networks[0]["name"] == "winner 1, from the supernet"
    assert [row["baseline"] for row in networks if row["name"] == "winner 1, from scratch"] == [True]
    assert "was chosen on search_val" in Text(page).words


def test_a_page_of_networks_from_scratch_has_no_column_of_starts(run: Path) -> None:
    assert "start, steps" not in Text(report([run])).words
