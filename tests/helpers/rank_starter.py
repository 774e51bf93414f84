"""Starts a script as several processes that train together over gloo, as torchrun would."""

import os
import socket
import subprocess
import sys
from pathlib import Path

SECONDS = 180


def run_ranks(script: Path, *words: str, size: int) -> list[tuple[int, str]]:
    """Exit code and standard error of every rank of `script`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    shared |= {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    command = [sys.executable, "-W", "ignore", str(script), *words]
    running = [
        subprocess.Popen(command, env=os.environ | shared | {"RANK": str(rank)}, stderr=subprocess.PIPE, text=True)
        for rank in range(size)
    ]
    try:
        errors = [process.communicate(timeout=SECONDS)[1] for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()
    return [(process.returncode, error) for process, error in zip(running, errors, strict=True)]
