"""One of the processes of test_failing_process.py: rank 1 raises while rank 0 waits for it.

Usage: failing_process.py, with torchrun's environment variables.
"""

import torch

from msnas.engine.distributed import joined
from msnas.errors import DataError


def main() -> None:
    with joined(torch.device("cpu"), timeout=600) as group:
        group.mean([1.0])
        if group.rank == 1:
            raise DataError("an image cannot be read")
        group.mean([1.0])


if __name__ == "__main__":
    main()
