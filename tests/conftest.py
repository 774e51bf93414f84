"""What holds for all tests: their order, and that a machine that is busy is no fault of a property's."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


SLOWEST = ("rehearsal", "docs", "msnas/commands", "msnas/export", "msnas/engine", "msnas/families")  # folders, first


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first, so that two processes end together."""
    root = Path(__file__).parent

    def place(item: pytest.Item) -> int:
        folder = item.path.relative_to(root).as_posix()
        return next((i for i, name in enumerate(SLOWEST) if folder.startswith(name)), len(SLOWEST))

    items.sort(key=place)
