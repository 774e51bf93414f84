"""Every strategy found in conf/strategy, built with its defaults for the toy space."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from strategy_configs import CONFIGS, factory
from toy_space import ToySpace

SMALL = {"population_size": 12, "children": 10, "iterations": 4}  # quick, and accepted by every strategy


@pytest.fixture(params=CONFIGS, ids=lambda path: path.stem)
def strategy_factory(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """`strategy_factory(space, seed=...)` as the search calls it."""
    return factory(request.param)


@pytest.fixture
def make(strategy_factory: Callable[..., Any]) -> Callable[..., Any]:
    """A small one: `make(seed=..., space=...)`."""

    def build(seed: int = 0, space: Any = None, **changes: Any) -> Any:
        return strategy_factory(ToySpace() if space is None else space, seed=seed, **{**SMALL, **changes})

    return build


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in memory where there is one: a history waits for the disk at every evaluation."""
    memory = Path("/dev/shm")
    if not memory.is_dir():
        yield tmp_path_factory.mktemp("history")
        return
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)
