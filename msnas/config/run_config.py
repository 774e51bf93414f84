"""A run's configuration: the user's words, and all options that follow from them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

from msnas.config.compose import compose, continued
from msnas.config.retrain_recipe import follow, lean
from msnas.differences import differences as differing
from msnas.differences import flatten
from msnas.errors import ConfigError, RunError
from msnas.files import damaged, read_json, write_json, write_text
from msnas.runs.folder import CONFIG, ROOT, WORDS

# Where the work is done does not change what is done; nor what is looked at when it is.
FREE = (
    "data.root",
    "data.workers",
    "data.processes",
    "data.memory_limit",
    "train.checkpoint_every",
    "retrain.checkpoint_every",
    "search.journal",
    "budget.exported_ms",  # of finalists, which are chosen when every candidate is scored
    "retrain.seeds",  # this and what follows: what else is trained alone, and not how
    "retrain.fpn",
    "retrain.point",
    "retrain.fpn_heads",
    "retrain.random",
)
MOVED = {"backbone.residual_init": "encoder.residual_init"}  # what options of older runs are called now
GONE = ("backbone.input_norm",)  # options of older runs that did nothing unless asked for
CHOSEN = "chosen"  # beside the options: what the first stage's data chose where an option left it to them
_LAST = "hardware"  # the last of a configuration's parts


def named(words: Sequence[str]) -> tuple[Path, str]:
    """(`runs_root`, `run`) of the words; no run is "". Raises ConfigError for a run that is no name of a folder."""
    given = {key: value for key, _, value in (word.partition("=") for word in words)}
    name = given.get("run", "")
    if name in (".", "..") or "/" in name:
        raise ConfigError(
            f"run must be the name of a folder in runs_root, but got {name!r}; runs_root=FOLDER moves it."
        )
    return Path(given.get("runs_root", ROOT)), name


def run_config(words: Sequence[str]) -> DictConfig:
    """The configuration of `words`, behind the own words of the run that their `run=` names, where there is one.

    An option of that run's space or strategy, such as `network.stacks`, then needs no `experiment=` beside it.
    """
    root, name = named(words)
    return compose(continued(stored_words(root / name) if name else (), words))


def save(folder: Path, config: DictConfig, words: Sequence[str]) -> None:
    """Keep a run's configuration and the words that made it."""
    write_json(folder / WORDS, _last_of_each(words))
    write_text(folder / CONFIG, OmegaConf.to_yaml(lean(config)))


def stored_words(folder: Path) -> list[str]:
    """The user's own words, none where there is no such run."""
    words = [word for word in read_json(folder / WORDS) or [] if word not in [f"{key}=false" for key in GONE]]
    split = (word.partition("=") for word in words)
    return ["".join((MOVED.get(key, key), sign, value)) for key, sign, value in split]


def stored_config(folder: Path) -> DictConfig:
    """All options that a run was made with. Raises RunError where the file is damaged."""
    path = folder / CONFIG
    try:
        config = OmegaConf.load(path)
    except (YAMLError, ValueError) as error:
        raise damaged(path, error) from error
    if not isinstance(config, DictConfig) or _LAST not in config:
        raise damaged(path, f"it ends before {_LAST!r}")
    for gone in GONE:
        if OmegaConf.select(config, gone) is False:
            _delete(config, gone)
    for old, new in MOVED.items():
        if (value := OmegaConf.select(config, old)) is not None:
            OmegaConf.update(config, new, value, force_add=True)
            _delete(config, old)
    return follow(config)


def _delete(config: DictConfig, key: str) -> None:
    group, _, name = key.rpartition(".")
    del config[group][name]


def continued_config(
    folder: Path, config: DictConfig, words: Sequence[str], fixed: Mapping[str, Sequence[str]]
) -> DictConfig:
    """`config`, of the run's words and then `words`, with what stages that have begun were made with.

    Their own values stand even where the library's defaults have changed since. fixed: the options that each stage
    fixes. Raises RunError where `words` ask for other values.
    """
    unasked, stored = compose(stored_words(folder)), stored_config(folder)
    config = follow(lean(config))  # what retraining does not give follows the values that are taken from the run
    last = max((number for number, name in enumerate(fixed, start=1) if (folder / name).exists()), default=0)
    begun = [key for name in tuple(fixed)[:last] for key in fixed[name]]  # a stage's, and those of the ones before
    if begun and CHOSEN in stored:
        config = with_chosen(config, stored[CHOSEN])
    asked = {*differences(unasked, config, begun), *(word.partition("=")[0] for word in words)}
    for key, (old, new) in differences(stored, config, begun).items():
        if key in asked:
            raise RunError(
                f"Run {folder.name} was made with {key}={old}, but got {key}={new}; "
                f"name a new run with run=, or leave the option out."
            )
        if key in flatten(config) and key in flatten(stored):
            OmegaConf.update(config, key, old)
    return config


def with_chosen(config: DictConfig, chosen: Any) -> DictConfig:
    """A copy of the configuration that keeps what the data chose."""
    kept = config.copy()
    OmegaConf.update(kept, CHOSEN, chosen, force_add=True)
    return kept


def _last_of_each(words: Sequence[str]) -> list[str]:
    last = {word.partition("=")[0]: word for word in words}
    return [word for key, word in last.items() if key not in ("run", "runs_root")]


def differences(old: DictConfig, new: DictConfig, keys: Sequence[str]) -> dict[str, tuple[Any, Any]]:
    """Leaves under `keys` whose values differ, as key -> (old, new); where the work is done makes no difference."""
    return {key: values for key, values in differing(old, new, keys).items() if key not in FREE}
