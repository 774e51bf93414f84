"""A search killed with SIGKILL at 18 random points ends as one that was never interrupted."""

import json
import subprocess
import sys
from pathlib import Path

DRIVER = Path(__file__).with_name("kill_driver.py")


def test_killed_at_18_random_points_and_resumed_equals_uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("killed")  # on a disk: a kill should also meet a write that waits for it
    command = [sys.executable, DRIVER, folder, "18", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert [report["same"] for report in reports] == [True] * 18
    assert sum(report["killed"] for report in reports) >= 12  # a kill may come just after the end
