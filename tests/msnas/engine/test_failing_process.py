"""A process that fails ends at once and says why; it does not wait for those that wait for it."""

import time
from pathlib import Path

from rank_starter import run_ranks


def test_a_failing_process_ends_at_once_with_its_error_and_so_do_the_others():
    began = time.monotonic()
    (waiting, _), (failing, error) = run_ranks(Path(__file__).with_name("failing_process.py"), size=2)
    assert (waiting, failing) == (1, 1)
    assert error == "msnas: an image cannot be read\n"
    assert time.monotonic() - began < 60
