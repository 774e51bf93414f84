"""The command line: `msnas COMMAND [POSITIONAL...] [key=value...] [@FILE] [--json] [--estimate] [--help] [--version]`.

Hydra's own flags are taken too: `--multirun`, `--cfg job`, `--info defaults`, `--config-dir DIR`.

One dispatcher. A command is a module of `msnas.commands` with a function `main(call: Call) -> int`; it is imported only
when it is called, so that help and the cost commands do not pay for torch. Exit codes: 0 done, 1 the data or the
result is not sound, 2 the command or the configuration is wrong, 130 interrupted.
"""

import difflib
import importlib
import io
import logging
import os
import re
import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

from omegaconf import OmegaConf

from msnas import __version__
from msnas.call import Call
from msnas.commands.command_list import COMMANDS
from msnas.commands.help import overview, stage_help
from msnas.commands.sweep import numbered, sweep
from msnas.config.compose import PLUGINS, composed, folders
from msnas.config.hydra_words import combinations, explain, take_flags
from msnas.config.run_config import run_config
from msnas.endings import ending
from msnas.errors import ConfigError
from msnas.files import at_home, decoded
from msnas.runs.folder import FRONT
from msnas.runs.launchers import launcher_of

HELP = ("--help", "-h")
_COMMENT = re.compile(r"(^|\s)#.*")
_AROUND = re.compile(r"^([^\s=]+)\s*=\s*")
_HOME = re.compile(r"~[^/=]*/|~$")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code (the console script passes it to the shell)."""
    words = list(sys.argv[1:] if argv is None else argv)
    _show_anything()
    try:
        with _terminable():
            return _dispatch(words)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (Exception, KeyboardInterrupt) as error:
        told = ending(error)
        if told is None:
            raise
        line, code = told
        again = f" Go on with: {shlex.join(['msnas', *words])}" if isinstance(error, KeyboardInterrupt) else ""
        print(f"{line}{again}", file=sys.stderr)
        return code


def _show_anything() -> None:
    """A terminal or pipe that lacks a character gets its code: no text of ours ends in a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM ends a command as Ctrl-C does, so that workers end and files are closed; a second one changes nothing."""

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _dispatch(words: list[str]) -> int:
    if "--version" in words:
        print(f"msnas {__version__}")
        return 0
    if not words or words[0] in ("--help", "-h", "help"):
        print(overview())
        return 0
    name, *rest = words
    if name not in COMMANDS:
        close = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else f"The stages are: {', '.join(COMMANDS)}."
        raise ConfigError(f"There is no stage {name!r}. {hint}")
    flags, rest = take_flags([word for given in rest for word in _expanded(given)])
    call = _trusting(parse(name, [word for word in rest if word not in HELP]))
    if any(word in HELP for word in rest):
        print(stage_help(name, call.words))
        return 0
    if flags.show:
        jobs = numbered(combinations(call.words)) if flags.multirun else [list(call.words)]
        print("\n---\n".join(_shown(replace(call, words=tuple(words)), flags.show) for words in jobs))
        return 0
    _log_to_stderr()
    module = "msnas.commands.estimate" if call.estimate else COMMANDS[name].module
    command = importlib.import_module(module).main
    if flags.multirun:
        return sweep(call, command, launcher_of(flags.launcher))
    return int(command(call))


def _trusting(call: Call) -> Call:
    """Let classes of the packages of this command line's `plugins=` be built, here and in worker processes.

    Only words that were typed count, never those that a run's folder holds. `config_dir=` is a place of such packages.
    """
    named = [word.partition("=")[2].strip("[]") for word in call.words if word.startswith("plugins=")]
    if not named:
        return call
    os.environ[PLUGINS] = ",".join(name.strip(" '\"") for name in named[-1].split(","))
    sys.path.extend(str(place) for place in folders(call.words)[1:] if str(place) not in sys.path)
    words = (f"plugins=[{named[-1]}]" if word.startswith("plugins=") else word for word in call.words)
    return replace(call, words=tuple(words))


def _shown(call: Call, what: str) -> str:
    """The composed configuration ("job"), or the choice of every group ("defaults"), as yaml."""
    words = call.words
    if call.command == "retrain" and call.positionals != (FRONT,):
        from msnas.setup.zoo import with_published_shape  # all families

        words = with_published_shape(call.with_architectures().words)
    shown = run_config(words) if what == "job" else OmegaConf.create(composed(words)[1])
    return OmegaConf.to_yaml(shown).rstrip()


class _StderrHandler(logging.Handler):
    """Writes to whatever standard error is at that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr)


def _log_to_stderr() -> None:
    """What the library has to say beside its answers goes to the standard error, as it stands."""
    logger = logging.getLogger("msnas")
    if not any(isinstance(handler, _StderrHandler) for handler in logger.handlers):
        logger.addHandler(_StderrHandler())
    logger.setLevel(logging.INFO)


def _expanded(word: str) -> list[str]:
    """The word; for `@FILE` the words of that file, one a line, without blanks around `=` and comments behind `#`."""
    if not word.startswith("@"):
        return [word]
    try:
        lines = decoded(Path(_at_home(word[1:])).read_bytes()).splitlines()
    except OSError as error:
        raise ConfigError(f"{word} must name a file of key=value lines, but it cannot be read: {error}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{word} must be a text in UTF-8, but line {line} has another encoding; save it so."
        ) from error
    bare = (_COMMENT.sub("", line).strip() for line in lines)
    return [_AROUND.sub(r"\1=", line) for line in bare if line]


def _at_home(word: str) -> str:
    """Paths below `~/` or `~USER/`, alone or behind `key=`, in full: shells leave those behind `=` alone.

    Those of `data.*` stay, so that a run's configuration holds on another machine; the data's settings expand them.
    """
    name, equals, values = word.partition("=")
    if _HOME.match(word) or not equals:
        name, equals, values = "", "", word
    elif name.startswith("data."):
        return word
    found = [at_home(one, name or "A path") if _HOME.match(one) else one for one in values.split(",")]
    return f"{name}{equals}{','.join(found)}"


def parse(command: str, rest: Sequence[str]) -> Call:
    """A command's words as a Call: flags, `key=value` words, and positionals, in any order.

    Raises ConfigError for an unknown flag and for a positional where the command takes none.
    """
    rest = [_at_home(word) for word in rest]
    flags = [word for word in rest if word.startswith("--")]
    known = ["--json", *(["--estimate"] if COMMANDS[command].estimates else []), "--help"]
    if unknown := [flag for flag in flags if flag not in known]:
        rule = "options are written key=value."
        raise ConfigError(f"There is no flag {unknown[0]!r}; {rule} Flags of {command}: {', '.join(known)}.")
    for word in rest:
        if (why := explain(word)) and not os.path.exists(word):
            raise ConfigError(why)
    plain = [word for word in rest if not word.startswith("--")]
    words = tuple(word for word in plain if "=" in word and not os.path.exists(word))
    positionals = tuple(word for word in plain if word not in words)
    if positionals and not COMMANDS[command].positionals:
        raise ConfigError(f"`msnas {command}` takes key=value options only, but got {positionals[0]!r}.")
    return Call(command, positionals, words, "--json" in flags, "--estimate" in flags)


if __name__ == "__main__":
    sys.exit(main())
