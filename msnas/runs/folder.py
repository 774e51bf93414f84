"""The run folder: what a stage leaves for the next one, and for whoever starts it again.

`runs/NAME/` holds `config.yaml` (resolved), `environment.json` (versions, hardware, commands) and one folder a
stage. A stage that is complete has a `done.json`; nothing half-written ever carries a final name; one process works
on a run at a time.
"""

import fcntl
import shlex
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

from msnas.config.compose import compose, continued, flatten
from msnas.errors import ConfigError, RunError
from msnas.files import damaged, read_json, write_json, write_text

ROOT = "runs"  # as conf/config.yaml has it
# Which options a stage fixes: once its folder exists they may not change any more.
OWNED: dict[str, tuple[str, ...]] = {
    "supernet": ("seed", "input", "space", "data", "detector", "schedule", "train", "backbone"),
    "search": (
        "budget",
        "strategy",
        "candidate",
        "fidelity",
        "proxy",
        "heads",
        "decoder",
        "cache",
        "baseline",
    ),
    "retrain": ("retrain", "network", "top_k"),
}
# Where the work is done does not change what is done.
FREE = (
    "data.root",
    "data.workers",
    "data.memory_limit",
    "train.checkpoint_every",
    "retrain.checkpoint_every",
)
_LAST = "hardware"  # the last of a configuration's parts
WORDS, CONFIG = "words.json", "config.yaml"  # the user's own words, and all options that follow from them
COMMANDS = {"supernet": "train", "search": "search", "retrain": "retrain"}


@dataclass(frozen=True)
class Run:
    """A run folder with the configuration that its stages share.

    before: the files that this command's words have changed, name to former text.
    """

    folder: Path
    config: DictConfig
    before: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The folder's name, what `run=` takes."""
        return self.folder.name

    def stage(self, name: str) -> Path:
        """The folder of a stage (made when it is missing)."""
        path = self.folder / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def done(self, name: str) -> dict[str, Any] | None:
        """What a complete stage said of itself, None while it is not complete."""
        done: dict[str, Any] | None = read_json(self.folder / name / "done.json")
        return done

    def require(self, name: str) -> dict[str, Any]:
        """`done(name)`, or a RunError that names the command that completes the stage."""
        done = self.done(name)
        if done is None:
            command = f"msnas {COMMANDS[name]} run={self.name}"
            raise RunError(f"Stage {name!r} of run {self.name} is not complete; finish it with `{command}`.")
        return done

    def forget_unless_begun(self, stage: str) -> None:
        """A wrong option leaves nothing behind: neither a run that no stage has begun nor words of one that has not."""
        if (self.folder / stage).exists():
            return
        if not any((self.folder / name).exists() for name in OWNED):
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            for name, text in self.before.items():
                write_text(self.folder / name, text)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run for this process; a RunError where another process holds it. The lock dies with its holder."""
        with open(self.folder / ".lock", "w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunError(f"Another process works on run {self.name}; wait for it, or end it first.") from None
            yield


class Processes(Protocol):
    """What is asked of a data-parallel group; `msnas.engine.distributed` has the real one."""

    @property
    def writes(self) -> bool:
        """Whether this process is the one that writes."""

    def gather(self, value: str | None, /) -> list[str | None]:
        """The values of all processes."""


@contextmanager
def shared(open_run: Callable[[], Run], group: Processes) -> Iterator[Run]:
    """The run that all processes of `group` work on: one opens and holds it, the others are told which it is."""
    if group.writes:
        run = open_run()
        with run.locked():
            group.gather(str(run.folder))
            yield run
    else:
        folder = Path(str(group.gather(None)[0]))
        yield Run(folder, stored_config(folder))


def stages_of(folder: Path, config: DictConfig) -> tuple[str, ...]:
    """The stages that a run has: where architectures are named, none comes before their training."""
    named = config.retrain.get("architectures") is not None
    return tuple(name for name in COMMANDS if name == "retrain" or not named or (folder / name).exists())


def open_new(words: Sequence[str], stages: Sequence[str] = ("supernet",)) -> Run:
    """The run that `msnas train WORDS` works on: the named one, one of the same configuration, or a new one.

    stages: those whose options must be the same for a run to be taken up again.
    """
    config = compose(words)
    root, name = _named(words)
    if name:
        folder = root / name
        if (folder / CONFIG).exists():
            return open_existing(words, stage="supernet")
        return _create(folder, config, words)
    for folder in _folders(root):
        if not _differences(stored_config(folder), config, [key for stage in stages for key in OWNED[stage]]):
            return open_existing([*words, f"run={folder.name}"], stage="supernet")
    return _create(_next_folder(root, config), config, words)


def open_existing(words: Sequence[str], stage: str | None = None) -> Run:
    """The run that a later stage works on: `run=NAME`, default the newest.

    The run's own words stand unless `words` say otherwise. Raises RunError where there is no such run, and where
    `words` change what a stage that has begun was made with.
    """
    root, name = _named(words)
    folders = _folders(root)
    if name:
        folder = root / name
        if folder not in folders:
            names = ", ".join(f.name for f in folders[:5]) or "none"
            raise RunError(f"There is no run {name!r} in {root}/; there are: {names}.")
    elif not folders:
        raise RunError(f"There is no run in {root}/ yet; `msnas train` makes one, `msnas demo` shows all stages.")
    else:
        folder = folders[0]
    merged = continued(_stored_words(folder), words)
    config = _continued(folder, merged, words)
    if stage is None:
        return Run(folder, config)
    run = Run(folder, config, before={name: (folder / name).read_text() for name in (WORDS, CONFIG)})
    _save(run, merged)
    return run


def with_own(words: Sequence[str]) -> list[str]:
    """`words` behind the own words of the run that their `run=` names, where there is such a run.

    An option of that run's space or strategy, such as `network.stacks`, then needs no `experiment=` beside it.
    """
    root, name = _named(words)
    return continued(_stored_words(root / name) if name else (), words)


def _named(words: Sequence[str]) -> tuple[Path, str]:
    """(`runs_root`, `run`) of the words; no run is "". Raises ConfigError for a run that is no name of a folder."""
    given = {key: value for key, _, value in (word.partition("=") for word in words)}
    name = given.get("run", "")
    if name in (".", "..") or "/" in name:
        raise ConfigError(
            f"run must be the name of a folder in runs_root, but got {name!r}; runs_root=FOLDER moves it."
        )
    return Path(given.get("runs_root", ROOT)), name


def _continued(folder: Path, merged: Sequence[str], words: Sequence[str]) -> DictConfig:
    """The configuration of `merged` words, with what stages that have begun were made with.

    Their own values stand even where the library's defaults have changed since. Raises RunError where `words`, the
    last of `merged`, ask for others.
    """
    config, unasked, stored = compose(merged), compose(_stored_words(folder)), stored_config(folder)
    begun = _fixed(folder)
    asked = {*_differences(unasked, config, begun), *(word.partition("=")[0] for word in words)}
    for key, (old, new) in _differences(stored, config, begun).items():
        if key in asked:
            raise RunError(
                f"Run {folder.name} was made with {key}={old}, but got {key}={new}; "
                f"name a new run with run=, or leave the option out."
            )
        if key in flatten(config) and key in flatten(stored):
            OmegaConf.update(config, key, old)
    return config


def _fixed(folder: Path) -> list[str]:
    """The options that may not change any more: those of stages that have begun, and of the ones before."""
    stages = list(OWNED)
    last = max((number for number, name in enumerate(stages, start=1) if (folder / name).exists()), default=0)
    return [key for name in stages[:last] for key in OWNED[name]]


def newest(root: Path) -> list[Path]:
    """Every run folder, the one that was worked on last first."""
    return _folders(root)


def _folders(root: Path) -> list[Path]:
    made = [path.parent for path in root.glob(f"*/{CONFIG}")]
    return sorted(made, key=lambda f: (f / CONFIG).stat().st_mtime, reverse=True)


def _next_folder(root: Path, config: DictConfig) -> Path:
    stem = f"{config.data.name}-{config.space_name}".lower()
    number = 1
    while (root / f"{stem}-{number:03d}").exists():
        number += 1
    return root / f"{stem}-{number:03d}"


def _create(folder: Path, config: DictConfig, words: Sequence[str]) -> Run:
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(folder, config)
    _save(run, words)
    return run


def _save(run: Run, words: Sequence[str]) -> None:
    write_json(run.folder / WORDS, _last_of_each(words))
    write_text(run.folder / CONFIG, OmegaConf.to_yaml(run.config))


def _stored_words(folder: Path) -> list[str]:
    return list(read_json(folder / WORDS) or [])


def stored_config(folder: Path) -> DictConfig:
    """All options that a run was made with. Raises RunError where the file is damaged."""
    path = folder / CONFIG
    try:
        config = OmegaConf.load(path)
    except (YAMLError, ValueError) as error:
        raise damaged(path, error) from error
    if not isinstance(config, DictConfig) or _LAST not in config:
        raise damaged(path, f"it ends before {_LAST!r}")
    return config


def _last_of_each(words: Sequence[str]) -> list[str]:
    last = {word.partition("=")[0]: word for word in words}
    return [word for key, word in last.items() if key not in ("run", "runs_root")]


def _differences(old: DictConfig, new: DictConfig, keys: Sequence[str]) -> dict[str, tuple[Any, Any]]:
    """Leaves under `keys` whose values differ, as key -> (old, new)."""
    before, after = flatten(old), flatten(new)
    own = [k for k in {**before, **after} if k.partition(".")[0] in keys and k not in FREE]
    leaves = [k for k in own if not isinstance(after.get(k, before.get(k)), DictConfig | Mapping)]
    return {k: (before.get(k), after.get(k)) for k in leaves if before.get(k) != after.get(k)}


def record_environment(run: Run, stage: str, words: Sequence[str], environment: Mapping[str, Any]) -> None:
    """Add this command to the run's `environment.json`: versions, hardware, when, and the words as typed."""
    path = run.folder / "environment.json"
    record = read_json(path) or {"commands": []}
    command = shlex.join(["msnas", stage, *words])
    began = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    record["commands"].append({"command": command, "began": began, **environment})
    write_json(path, record)
