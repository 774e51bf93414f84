"""The command line: `msnas STAGE [POSITIONAL...] [key=value...] [@FILE] [--json] [--help] [--version]`.

One dispatcher. A stage is a module of this package with a function `main(call: Call) -> int`; it is imported only
when it is called, so that help and the cost commands do not pay for torch. Exit codes: 0 done, 1 the data or the
result is not sound, 2 the command or the configuration is wrong, 130 interrupted.
"""

import difflib
import errno
import importlib
import logging
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from evolution.errors import StrategyError
from msnas.call import Call
from msnas.commands.table import COMMANDS
from msnas.errors import ConfigError, DataError, UserError
from msnas.files import FULL
from supernet.errors import SpaceError

# What a disk, or a path that the user gave, can be wrong about; any other fault of the system is one of ours.
_RIGHTS = (errno.EACCES, errno.EROFS, errno.EPERM)
_PATHS = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP)
DISK = (*FULL, *_RIGHTS, *_PATHS)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one stage; returns the exit code (the console script passes it to the shell)."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(words)
    except (UserError, SpaceError, StrategyError) as error:
        print(f"msnas: {error}", file=sys.stderr)
        return 1 if isinstance(error, DataError) else 2
    except KeyboardInterrupt as stop:
        print(f"msnas: {str(stop) or 'Interrupted.'} Go on with: {shlex.join(['msnas', *words])}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in DISK:
            raise
        place = f" at {error.filename}" if error.filename else ""
        hint = "Free space, or name another file or folder (runs_root=, out=)."
        print(f"msnas: cannot read or write{place}: {error.strerror}. {hint}", file=sys.stderr)
        return 2


def _dispatch(words: list[str]) -> int:
    if "--version" in words:
        from msnas import __version__

        print(f"msnas {__version__}")
        return 0
    if not words or words[0] in ("--help", "-h", "help"):
        from msnas.commands.help import overview

        print(overview(COMMANDS))
        return 0
    name, *rest = words
    if name not in COMMANDS:
        close = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else f"The stages are: {', '.join(COMMANDS)}."
        raise ConfigError(f"There is no stage {name!r}. {hint}")
    if "--help" in rest or "-h" in rest:
        from msnas.commands.help import stage_help

        print(stage_help(name, COMMANDS[name], [word for word in rest if not word.startswith("-") and "=" in word]))
        return 0
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    call = parse(name, [word for given in rest for word in _expanded(given)])
    return int(importlib.import_module(COMMANDS[name].module).main(call))


def _expanded(word: str) -> list[str]:
    """The word; for `@FILE` the words of that file, one a line, where `#` begins a line that is none."""
    if not word.startswith("@"):
        return [word]
    try:
        lines = Path(word[1:]).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{word} must name a file of key=value lines, but it cannot be read: {error}") from error
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def parse(stage: str, rest: Sequence[str]) -> Call:
    """A stage's words as a Call: flags, `key=value` words, and positionals, in any order.

    Raises ConfigError for an unknown flag and for a positional where the stage takes none.
    """
    flags = [word for word in rest if word.startswith("--")]
    unknown = [flag for flag in flags if flag != "--json"]
    if unknown:
        raise ConfigError(f"There is no flag {unknown[0]!r}; options are written key=value. Flags: --json, --help.")
    plain = [word for word in rest if not word.startswith("--")]
    words = tuple(word for word in plain if "=" in word and not os.path.exists(word))
    positionals = tuple(word for word in plain if word not in words)
    if positionals and not COMMANDS[stage].positionals:
        raise ConfigError(f"`msnas {stage}` takes key=value options only, but got {positionals[0]!r}.")
    return Call(stage, positionals, words, "--json" in flags)


if __name__ == "__main__":
    sys.exit(main())
