"""What hydra's users type beside `key=value`: its flags, its sweeps, its `+` and `~`."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob
from hydra.errors import HydraException

from msnas.config.compose import OWN_FOLDER, folders, groups
from msnas.errors import ConfigError
from msnas.files import at_home

# Flags with a value: what each takes, None for anything.
_VALUED = {
    "--config-dir": None,
    "-cd": None,
    "--cfg": ("job",),
    "-c": ("job",),
    "--info": ("defaults",),
    "-i": ("defaults",),
}
_INSTEAD = {  # of an option of hydra's own
    "hydra.searchpath": "--config-dir DIR adds a folder of yaml files",
    "hydra.sweeper": "a sweep tries every combination of its words",
    "hydra.run": "runs_root=FOLDER run=NAME say where a run lies",
    "hydra.sweep": "runs_root=FOLDER run=NAME say where runs lie",
    "hydra.job": "run=NAME names a run, and no folder is changed",
}
_SHOWN = {"--cfg": "job", "-c": "job", "--info": "defaults", "-i": "defaults"}


@dataclass(frozen=True)
class Flags:
    """multirun: one run for each combination of the words' values. show: print this instead, "job" or "defaults".

    launcher: the words `hydra/launcher=NAME` and `hydra.launcher.KEY=VALUE`, which say where those runs are made.
    """

    multirun: bool = False
    show: str = ""
    launcher: tuple[str, ...] = ()


def take_flags(words: Sequence[str]) -> tuple[Flags, list[str]]:
    """Hydra's flags, and the other words; `--config-dir DIR` becomes the word `config_dir=DIR`.

    Raises ConfigError for a flag without its value and for another value than it takes.
    """
    multirun, show, others, rest = False, "", [], list(words)
    launcher: list[str] = []
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if word in ("-m", "--multirun"):
            multirun = True
        elif name == "hydra/launcher" or name.startswith("hydra.launcher."):
            launcher.append(word)
        elif name not in _VALUED:
            others.append(word)
        else:
            value = value if equals else rest.pop(0) if rest else ""
            if not value or value not in (_VALUED[name] or (value,)):
                wanted = " or ".join(_VALUED[name] or ("a value",))
                raise ConfigError(f"{name} takes {wanted}, but got {value or 'nothing'}.")
            if name in _SHOWN:
                show = _SHOWN[name]
            else:
                others.append(f"{OWN_FOLDER}={Path(at_home(value, name)).resolve()}")
    if launcher and not multirun:
        raise ConfigError(f"{launcher[0]} says where the jobs of a sweep run, but there is none; add --multirun.")
    return Flags(multirun, show, tuple(launcher)), others


def explain(word: str) -> str:
    """Why `+key=value`, `~key` and `hydra.key=value` are no words here, and what to do instead; "" for another word."""
    if word.startswith("+"):
        plain = word.lstrip("+")
        return f"Options are written {plain}, but got {word!r}; new ones come from a yaml file in --config-dir DIR."
    if word.startswith("~"):
        return f"Options are written key=value, but got {word!r}; none is deleted, but null is a value."
    key, equals, _ = word.replace("/", ".").partition("=")
    if equals and key.startswith("hydra."):
        instead = next((text for name, text in _INSTEAD.items() if key.startswith(name)), "others do nothing here")
        return f"Of hydra's own options only those of its launcher are taken, but got {word!r}; {instead}."
    return ""


def combinations(words: Sequence[str]) -> list[list[str]]:
    """The words of every job of a sweep, in hydra's order: the values of the last word change fastest.

    A word sweeps where hydra's grammar says so: `seed=0,1`, `seed=range(3)`, `space=choice(a,b)`, `space=glob(msnas*)`.
    Raises ConfigError for a word that the grammar does not know, and for `interval`, which has no values to try.
    """
    last = {word.partition("=")[0]: word for word in words}
    return [list(job) for job in itertools.product(*(_values(word, words) for word in last.values()))]


def _values(word: str, words: Sequence[str]) -> list[str]:
    try:
        override = OverridesParser.create().parse_override(word)
        if not override.is_sweep_override():
            return [word]
        key = override.get_key_element()
        value: Any = override.value()
        if isinstance(value, Glob):
            found = [f"{key}={name}" for name in value.filter(groups(folders(words)).get(key, []))]
            if not found:
                raise ConfigError(f"A sweep needs a value to try, but no choice of {key} matches {word!r}.")
            return found
        return [f"{key}={one}" for one in override.sweep_string_iterator()]
    except (HydraException, NotImplementedError, AssertionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(f"A sweep's words follow hydra's grammar, but got {word!r} ({reason}); quote it.") from error
