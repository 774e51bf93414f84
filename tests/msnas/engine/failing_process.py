"""One of the processes of test_failing_process.py: rank 1 raises while rank 0 waits for it.

Usage: failing_process.py, with torchrun's environment variables.
"""

import torch

from msnas.engine.distributed import joined
from msnas.errors import DataError


def main() -> None:
    with joined(torch.device("cpu"), timeout=600) as group:
        group.gather(None)
        if group.rank == 1:
            raise DataError("an image cannot be read")
        group.gather(None)


if __name__ == "__main__":
    main()
