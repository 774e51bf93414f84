"""msnas: one-shot supernet search for object detectors."""

import sys
from typing import TYPE_CHECKING, Any

if sys.platform == "win32":
    raise ImportError(
        "msnas runs on Linux and macOS; on Windows, run it in WSL 2: runs and histories hold POSIX locks."
    )

if TYPE_CHECKING:
    from msnas.export.model_file import load

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


def __getattr__(name: str) -> Any:
    """`load` on first use (PEP 562): it needs torch, and help must not wait for that."""
    if name == "load":
        from msnas.export.model_file import load  # torch

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
