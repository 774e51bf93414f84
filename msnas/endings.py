"""How a command, or one of its processes, ends where it does not reach its end: a line, and an exit code."""

from evolution.errors import StrategyError
from msnas.errors import DataError, UserError
from msnas.files import DISK, disk_fault
from supernet.errors import SpaceError


def ending(error: BaseException) -> tuple[str, int] | None:
    """The line that tells `error`, and the exit code: 1 the data, 2 the user or the disk, 130 Ctrl-C.

    None: a fault of ours, which wants its traceback.
    """
    if isinstance(error, UserError | SpaceError | StrategyError):
        return f"msnas: {error}", 1 if isinstance(error, DataError) else 2
    if isinstance(error, KeyboardInterrupt):
        return f"msnas: {str(error) or 'Interrupted.'}", 130
    if isinstance(error, OSError) and error.errno in DISK:
        return f"msnas: {disk_fault(error)}", 2
    return None
