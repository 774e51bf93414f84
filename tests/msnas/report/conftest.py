import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from synthetic_run import make_run

from msnas.report.page import report


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with every stage complete."""
    return make_run(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="session")
def page(run: Path) -> Path:
    """The report of `run`."""
    return report([run])


@pytest.fixture
def embedded() -> Callable[[Path], Any]:
    """The JSON that a page embeds."""

    def read(page: Path) -> Any:
        found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.S)
        assert found is not None
        return json.loads(found[1])

    return read
