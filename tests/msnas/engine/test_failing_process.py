"""A process that fails ends at once and says why; it does not wait for those that wait for it."""

import errno
import os
import time
from pathlib import Path

import pytest
from rank_starter import run_ranks

from evolution.errors import StrategyError
from msnas.engine.distributed import _leave
from supernet.errors import SpaceError


def test_a_failing_process_ends_at_once_with_its_error_and_so_do_the_others():
    began = time.monotonic()
    (waiting, _), (failing, error) = run_ranks(Path(__file__).with_name("failing_process.py"), size=2)
    assert (waiting, failing) == (1, 1)
    assert error == "msnas: an image cannot be read\n"
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    ("error", "line", "code"),
    [
        (SpaceError("no such stride"), "msnas: no such stride\n", 2),
        (StrategyError("no such history"), "msnas: no such history\n", 2),
        (
            OSError(errno.ENOSPC, "No space left on device", "runs/a"),
            "msnas: cannot read or write at runs/a: No space",
            2,
        ),
        (KeyboardInterrupt(), "msnas: Interrupted.\n", 130),
        (AssertionError("a fault of ours"), "AssertionError: a fault of ours\n", 1),
    ],
)
def test_a_process_ends_with_the_line_and_the_code_of_the_command_line(error, line, code, monkeypatch, capsys):
    codes = []
    monkeypatch.setattr(os, "_exit", codes.append)
    _leave(error)
    assert (codes, capsys.readouterr().err.startswith(line)) == ([code], True)
