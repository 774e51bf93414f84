"""The configuration of a run: hydra's `conf/` tree, the user's `key=value` words, and objects built from both.

Hydra composes; what this file adds is a command line that takes any value as it is typed (hydra's grammar rejects
commas, bars and blanks), answers a misspelt word with the nearest real one, and a folder of the user's own yaml files
(`config_dir=`). It builds classes of our own packages only, and of those that the command line lists in `plugins=`:
a config cannot name arbitrary code.
"""

import difflib
import importlib
import os
import pickle
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from msnas.config.comments import choice_file
from msnas.config.retrain_recipe import REFUSED, follow, followed, unknown
from msnas.differences import flatten
from msnas.errors import ConfigError
from msnas.files import at_home

PLUGINS = "MSNAS_PLUGINS"  # packages that the command line trusts, separated by commas; worker processes inherit it
BUILDABLE = ("supernet.", "evolution.", "msnas.", "torch.optim.")
# Groups whose options are a class's arguments. What a scale or an experiment says there of an option that the chosen
# class has not, such as Algorithm 1's `n_random` of NSGA-II, does not apply.
CLASSES = ("space", "strategy", "candidate", "detector")
# The lowest value of numbers that no class of ours checks before a stage begins.
LOWEST = {
    **dict.fromkeys(("train.steps", "train.checkpoint_every", "retrain.steps", "retrain.checkpoint_every"), 1),
    **dict.fromkeys(("candidate.bn_images", "candidate.bn_batch", "retrain.seeds", "top_k", "n", "rank", "every"), 1),
    "space.base_stride": 1,
    **dict.fromkeys(("seed", "search.replicates", "schedule.warmup", "hardware.workers", "keep"), 0),
    "retrain.schedule.warmup": 0,
}
RENAMED = {"proxy": "candidate", "decoder": "candidate", "baseline.pretrained": "baseline.weights"}  # old: new
ELSEWHERE = {  # what other detection tools call it
    "conf": "score",
    "confidence": "score",
    "imgsz": "data.short_side",
    "epochs": "schedule.epochs",
    "batch": "schedule.batch",
    "batch_size": "schedule.batch",
    "lr": "schedule.lr",
    "lr0": "schedule.lr",
}
OWN_FOLDER = "config_dir"
_NOTHING = object()
_PLAIN = re.compile(r"[+-]?(\d[\d_]*)?\.?\d+([eE][+-]?\d+)?|true|false|null|\[.*\]|\{.*\}|'.*'|\".*\"", re.I)


def conf_folder() -> Path:
    """Where the yaml files are: `conf/` of the repository, `msnas/conf` in an installed wheel."""
    package = Path(__file__).resolve().parent.parent  # msnas/
    return next(folder for folder in (package / "conf", package.parent / "conf") if (folder / "config.yaml").exists())


def folders(words: Sequence[str] = ()) -> tuple[Path, ...]:
    """Where the groups of these words are looked up: the library's `conf/`, then the user's own `config_dir=`.

    Raises ConfigError where the user's is no folder.
    """
    given = [word.partition("=")[2] for word in words if word.startswith(f"{OWN_FOLDER}=")]
    if not given or given[-1] in ("", "null"):
        return (conf_folder(),)
    own = Path(at_home(given[-1], OWN_FOLDER)).resolve()
    if not own.is_dir():
        raise ConfigError(f"{OWN_FOLDER} must be a folder with yaml files such as space/NAME.yaml, but {own} is none.")
    return (conf_folder(), own)


def groups(places: Sequence[Path] = ()) -> dict[str, list[str]]:
    """Every configuration group with its choices, such as `space: [msnas_r18, ...]`; of `conf/` or of `places`.

    Raises ConfigError where two places have a choice of the same name.
    """
    library, *own = places or (conf_folder(),)
    known = {folder.name: set(_choices(folder)) for folder in sorted(library.iterdir()) if _choices(folder)}
    for place in own:
        for group, choices in known.items():
            if both := choices.intersection(_choices(place / group)):
                raise ConfigError(f"{place}/{group}/{min(both)}.yaml must have another name: the library has that one.")
            choices.update(_choices(place / group))
    return {group: sorted(choices) for group, choices in known.items()}


def _choices(folder: Path) -> list[str]:
    return [path.stem for path in folder.glob("*.yaml")]


def compose(words: Sequence[str] = ()) -> DictConfig:
    """The configuration for `key=value` words, later words winning over earlier ones.

    Raises ConfigError for a word that is no `key=value`, for an unknown key or choice (with the nearest real one),
    for a value of another type than the default's and for a number below the LOWEST.
    """
    return composed(words)[0]


def composed(words: Sequence[str] = ()) -> tuple[DictConfig, dict[str, str]]:
    """`compose`, and the choice of every group in the order in which they are composed."""
    places = folders(words)
    known = groups(places)
    chosen: dict[str, str] = {}
    for word in words:
        key, value = split(word)
        if key in known and value not in known[key]:
            raise ConfigError(f"{key}={value} is none of: {', '.join(known[key])}.{nearest(value, known[key])}")
        chosen.pop(key, None)
        chosen[key] = value
    picked = tuple(f"{key}={value}" for key, value in chosen.items() if key in known)
    config, choices = _hydra(picked, places)
    options = [(key, value, _default(config, key)) for key, value in chosen.items() if key not in known]
    for key, value, default in options:
        if default is _NOTHING:
            raise _no_option(key, [*flatten(config, parts=True), *known], places)
        if not _is_open(key, value, places):
            _check_type(key, value, default)
        OmegaConf.update(config, key, _value(key, value), merge=True)
    try:
        OmegaConf.resolve(config)
    except Exception as error:  # omegaconf's own error family has no common public base
        partial = [f"{key}={value}" for key, value in chosen.items() if key in known and value not in groups()[key]]
        hint = (
            f"; does the file of {partial[0]} say what it changes, as in `defaults: [coco, _self_]`?" if partial else ""
        )
        raise ConfigError(f"The configuration cannot be resolved: {_one_line(error)}{hint}") from error
    for key, low in LOWEST.items():
        value = OmegaConf.select(config, key)
        if isinstance(value, int | float) and value < low:
            raise ConfigError(f"{key} must be at least {low}, but got {value}.")
    return config, choices


def _default(config: DictConfig, key: str) -> object:
    """What the option is without words, `_NOTHING` where there is none. Asking for one resolves that one alone."""
    found: Any = config
    for part in key.split("."):
        if not isinstance(found, DictConfig) or part not in found:
            return _NOTHING
        found = found[part]
    return found


def _is_open(key: str, text: str, places: tuple[Path, ...]) -> bool:
    """Whether the option is a word, or may be null, before a scale or an experiment makes it a number."""
    plainest = _default(_hydra((), places)[0], key)
    return isinstance(plainest, str) or (plainest is None and text == "null")


def _no_option(key: str, known: Sequence[str], places: tuple[Path, ...]) -> ConfigError:
    """What is said of an option that nobody has."""
    all_stages = REFUSED if followed(key) != key and followed(key) in known else ""
    hint = _renamed(key) or all_stages or _owners(followed(key), places) or nearest(key, known)
    return ConfigError(f"There is no option {key!r}.{hint}")


def _hydra(picked: tuple[str, ...], places: tuple[Path, ...]) -> tuple[DictConfig, dict[str, str]]:
    """The configuration of these choices of groups, to be changed at will, and every group's choice."""
    config, choices = pickle.loads(_composed_by_hydra(picked, places))
    assert isinstance(config, DictConfig)
    return config, choices


@cache
def _composed_by_hydra(picked: tuple[str, ...], places: tuple[Path, ...]) -> bytes:
    """Pickled: hydra takes a third of a second, a copy two milliseconds."""
    own = [f"hydra.searchpath=[{','.join(_quote(f'file://{place}') for place in places[1:])}]"] if places[1:] else []
    try:
        with initialize_config_dir(str(places[0]), version_base=None):
            config = hydra_compose("config", overrides=[*own, *picked], return_hydra_config=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(f"The configuration cannot be composed: {_one_line(error)}") from error
    made = dict(config.hydra.runtime.choices)  # the last first
    choices = {str(group): str(made[group]) for group in reversed(made) if "/" not in group and "@" not in group}
    with open_dict(config):
        del config["hydra"]
        for group in CLASSES:
            for key in set(config[group]) - _own_options(places, group, choices[group]):
                del config[group][key]
    if wrong := unknown(config):
        raise _no_option(wrong[0], [key for key in flatten(follow(config)) if key not in wrong], places)
    return pickle.dumps((follow(config), choices))


@cache
def _value(key: str, text: str) -> Any:
    """What hydra's grammar makes of `key=text`, which takes it a millisecond; not to be changed."""
    try:
        return OverridesParser.create().parse_override(f"{key}={_quote(text)}").value()
    except HydraException as error:
        raise ConfigError(f"The configuration cannot be composed: {_one_line(error)}") from error


@cache
def _own_options(places: tuple[Path, ...], group: str, choice: str) -> frozenset[str]:
    """The options of a choice's own yaml and of those that it builds on."""
    content = OmegaConf.load(choice_file(places, group, choice))
    assert isinstance(content, DictConfig)
    bases = [name for name in content.pop("defaults", []) if isinstance(name, str) and name != "_self_"]
    own = content.get(group, content)  # a space's yaml says more than the space
    return frozenset(own).union(*(_own_options(places, group, name) for name in bases))


def continued(words: Sequence[str], later: Sequence[str]) -> list[str]:
    """`words`, then `later` ones; options of a class end where a later word chooses one that has not got them."""
    places = folders([*words, *later])
    chosen, known = dict(map(split, later)), groups(places)

    def lasts(word: str) -> bool:
        group, _, option = followed(word.partition("=")[0]).partition(".")
        new = chosen.get(group) if group in CLASSES else None
        if not option or new not in known.get(group, ()):
            return True
        return option.partition(".")[0] in _own_options(places, group, new)

    return [*filter(lasts, words), *later]


def _renamed(key: str) -> str:
    """A sentence with the name of an option that had another, or has another elsewhere; "" where it never had."""
    for old, new in (RENAMED | ELSEWHERE).items():
        if key == old or key.startswith(f"{old}."):
            return f" It is called {new + key.removeprefix(old)!r}."
    return ""


def _owners(key: str, places: tuple[Path, ...]) -> str:
    """A sentence that names the other classes of the group that do have the option, "" where there is none."""
    group, _, option = key.partition(".")
    choices = groups(places)[group] if group in CLASSES else ()
    owners = [choice for choice in choices if option in _own_options(places, group, choice)]
    return f" It belongs to {group}={', '.join(owners)}." if owners else ""


def split(word: str) -> tuple[str, str]:
    """`key=value` as (key, value); the value may hold further `=`."""
    key, equals, value = word.partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z_][\w.]*", key):
        raise ConfigError(f"An option has the form key=value, but got {word!r}.")
    return key, value


def _quote(value: str) -> str:
    """The value as hydra's grammar takes it: numbers, lists and quoted text as they are, all else as one string."""
    if _PLAIN.fullmatch(value):
        return value
    # A backslash escapes only before a quote, and one before the closing quote would escape that.
    return "'" + re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + ("\\'" if m[2] else ""), value) + "'"


def _check_type(key: str, text: str, default: Any) -> None:
    if isinstance(default, DictConfig):
        raise ConfigError(
            f"{key} is a group of options; set one of {', '.join(f'{key}.{name!s}' for name in default)}."
        )
    value = OmegaConf.from_dotlist([f"value={text}"]).value if _PLAIN.fullmatch(text) else text
    if isinstance(default, bool):
        expected, fits = "true or false", isinstance(value, bool)
    elif isinstance(default, int):
        expected, fits = "an integer", _is_number(value) and isinstance(value, int)
    elif isinstance(default, float):
        expected, fits = "a number", _is_number(value)
    elif isinstance(default, ListConfig):
        numbers = isinstance(value, ListConfig) and all(map(_is_number, value))
        expected = f"a list such as {default}"
        fits = numbers if len(default) and all(map(_is_number, default)) else isinstance(value, ListConfig)
    else:
        return
    if not fits:
        several = " --multirun makes a run of each." if "," in text and not isinstance(default, ListConfig) else ""
        raise ConfigError(f"{key} must be {expected}, but got {text!r}.{several}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def nearest(word: str, known: Iterable[str]) -> str:
    """A sentence with the known word that is nearest to `word`, by its own name or by its last part; or ""."""
    names = list(known)
    last = {name.rpartition(".")[2]: name for name in reversed(names)}
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if not close and (tail := difflib.get_close_matches(word.rpartition(".")[2], last, n=1, cutoff=0.75)):
        close = [last[tail[0]]]
    return f" Did you mean {close[0]!r}?" if close else ""


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def build(node: DictConfig | Mapping[str, Any], **arguments: Any) -> Any:
    """The object that `_target_` names, from the node's values and `arguments` (which win). Raises ConfigError."""
    values = dict(OmegaConf.to_container(node, resolve=True) if isinstance(node, DictConfig) else node)  # type: ignore[arg-type]
    factory = trusted("_target_", str(values.pop("_target_", "")))
    return factory(**{str(key): value for key, value in values.items()}, **arguments)


def plain(node: DictConfig) -> dict[str, Any]:
    """A group of options as plain values, references resolved."""
    content = OmegaConf.to_container(node, resolve=True)
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}


def trusted(option: str, name: str, places: tuple[str, ...] = BUILDABLE) -> Any:
    """The class or function of the full name `name`, which is the value of `option`.

    Raises ConfigError unless it exists, inside of `places` or of a package listed in `plugins=`.
    """
    places = (*places, *(f"{package}." for package in os.environ.get(PLUGINS, "").split(",") if package))
    if not name.startswith(places):
        raise ConfigError(f"{option} must lie inside {', '.join(places)} or a package of plugins=, but got {name!r}.")
    module, _, attribute = name.rpartition(".")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{option}={name} does not exist: {_one_line(error)}") from error
