"""The run that a command works on, and what its configuration means."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from omegaconf import DictConfig

from msnas.config.compose import compose, continued
from msnas.config.run_config import (
    continued_config,
    differences,
    named,
    run_config,
    save,
    stored_config,
    stored_words,
)
from msnas.data.digest import digest_change
from msnas.errors import ConfigError, RunError
from msnas.files import digest, read_json, write_json
from msnas.runs.folder import CONFIG, DATA, DONE, RESULT, SUPERNET, WORDS, Run, newest, next_folder
from msnas.runs.state import Plan, State, run_state
from msnas.setup.box_choices import with_choices
from msnas.setup.setup import Setup

if TYPE_CHECKING:
    from msnas.data.opening import Splits


PATIENCE = 60.0  # seconds in which a file system of several machines shows all of them what one has written


@dataclass(frozen=True, kw_only=True)
class OpenRun(Run):
    """A run folder that a command works on, with what its configuration means."""

    setup: Setup

    @property
    def retraining(self) -> "OpenRun":
        """The run as the stages read it that train networks alone."""
        return replace(self, setup=self.setup.for_retraining)

    def splits(self, *, scoring: bool = True, writes: bool = True) -> "Splits":
        """The data in its splits, as `Setup.splits`; the first stage keeps what it held, for the later ones.

        writes: whether this process is the one that writes. Raises RunError where the data has changed since.
        """
        splits = self.setup.splits(scoring=scoring)
        kept = read_json(self.folder / DATA)
        if kept is None:
            if writes:
                write_json(self.folder / DATA, splits.digest)
        elif change := digest_change(kept, splits.digest):
            raise RunError(
                f"All stages of run {self.name} must read the same data, but {change}; "
                f"put the files back as they were, or start a new run with run=NAME."
            )
        return splits


def setup_of(words: Sequence[str]) -> Setup:
    """What `words` mean, behind those of the run that they name. Raises ConfigError as `Setup.check` does.

    Options of a run are checked where a stage begins: a report needs no file that the training needed.
    """
    setup = Setup(run_config(words))
    if not named(words)[1]:
        setup.check()
        setup.refuse_unread(words)
    return setup


def setup_to_be(words: Sequence[str]) -> Setup:
    """What a run of `words` will be made with, behind those of the run that they name; none is made.

    Raises ConfigError as the first stage does.
    """
    setup = Setup(with_choices(run_config(words)))
    setup.check_detector()
    setup.check()
    setup.refuse_unread(words)
    return setup


def stored_setup(folder: Path) -> Setup:
    """What a run's stored configuration means."""
    return Setup(stored_config(folder))


def state_of(folder: Path, now: float | None = None) -> State:
    """What a run is doing, by its stored configuration."""
    setup = stored_setup(folder)
    return run_state(folder, Plan(pretrains=_pretrains(setup), named=setup.names_architectures), now)


def _pretrains(setup: Setup) -> str:
    """What the first stage trains; a supernet where the family is not known, or is of a package that is not trusted."""
    try:
        return setup.family_class.pretraining or ""
    except ConfigError:
        return "supernet"


def open_new(words: Sequence[str], stages: Sequence[str] = (SUPERNET,)) -> OpenRun:
    """The run that `msnas train WORDS` works on: the named one, one of the same configuration, or a new one.

    stages: those whose options must be the same for a run to be taken up again. Raises ConfigError for a detector that
    the family's networks cannot stand under, before there is a run.
    """
    config = compose(words)
    root, name = named(words)
    if name:
        folder = root / name
        if (folder / CONFIG).exists():
            return open_existing(words, stage=SUPERNET)
        return _create(folder, config, words)
    fixed = Setup(config).fixed_options
    for folder in newest(root):
        if not differences(stored_config(folder), config, [key for stage in stages for key in fixed[stage]]):
            return open_existing([*words, f"run={folder.name}"], stage=SUPERNET)
    return _create(next_folder(root, f"{config.data.name}-{config.space_name}".lower()), config, words)


def open_existing(words: Sequence[str], stage: str | None = None) -> OpenRun:
    """The run that a later stage works on: `run=NAME`, default the newest.

    The run's own words stand unless `words` say otherwise; with a `stage` that is about to work on it they are kept.
    Raises RunError where there is no such run, and where `words` change what a stage that has begun was made with;
    ConfigError for a detector that the family's networks cannot stand under.
    """
    folder = _existing(words)
    merged = continued(stored_words(folder), words)
    config = compose(merged)
    config = continued_config(folder, config, words, Setup(config).fixed_options)
    if stage is None:
        return OpenRun(folder, setup=Setup(config))
    setup = Setup(config)
    setup.check_detector()
    setup.refuse_unread(words, behind=stored_words(folder))
    if not (folder / stage / DONE).exists():
        setup.check()
    before = {name: (folder / name).read_text(encoding="utf-8") for name in (WORDS, CONFIG)}
    config = with_choices(config)
    save(folder, config, merged)
    return OpenRun(folder, before, setup=Setup(config))


def _existing(words: Sequence[str]) -> Path:
    root, name = named(words)
    folders = newest(root)
    if name:
        folder = root / name
        if folder not in folders:
            names = ", ".join(f.name for f in folders[:5]) or "none"
            raise RunError(f"There is no run {name!r} in {root}/; there are: {names}.")
        return folder
    if not folders:
        raise RunError(f"There is no run in {root}/ yet; `msnas train` makes one, `msnas demo` shows all stages.")
    return folders[0]


def _create(folder: Path, config: DictConfig, words: Sequence[str]) -> OpenRun:
    setup = Setup(config)
    setup.check_detector()
    setup.check()
    setup.refuse_unread(words)
    config = with_choices(config)
    folder.mkdir(parents=True, exist_ok=True)
    save(folder, config, words)
    return OpenRun(folder, setup=Setup(config))


class Processes(Protocol):
    """What is asked of a data-parallel group; `msnas.engine.distributed` has the real one."""

    @property
    def writes(self) -> bool:
        """Whether this process is the one that writes."""

    def gather(self, value: str | None, /) -> list[str | None]:
        """The values of all processes."""


@contextmanager
def shared(open_run: Callable[[], OpenRun], group: Processes) -> Iterator[OpenRun]:
    """The run that all processes of `group` work on: one opens and holds it, the others are told which it is.

    They begin when they see the files that decide what is done as the one does: what is trained already, and how.
    Raises RunError where that takes more than PATIENCE seconds.
    """
    if group.writes:
        run = open_run()
        with run.locked():
            group.gather(json.dumps([str(run.folder), _deciding(run.folder)]))
            group.gather(None)  # all have seen the files: from here on they may change
            yield run
    else:
        place, files = json.loads(str(group.gather(None)[0]))
        _see(Path(place), files)
        group.gather(None)
        yield OpenRun(Path(place), setup=stored_setup(Path(place)))


def _deciding(folder: Path) -> dict[str, str]:
    """The content of every file of a run that says how it is made or what of it is done, as a digest by its path."""
    files = (file for name in (CONFIG, DATA, DONE, RESULT) for file in folder.rglob(name))
    return {str(file.relative_to(folder)): digest(file) for file in files}


def _see(folder: Path, files: Mapping[str, str]) -> None:
    """Return when `folder` has these files here, too, and no others: one that is deleted may be seen for a while."""
    began = time.monotonic()
    while other := set(files.items()) ^ set(_deciding(folder).items()):
        if time.monotonic() - began > PATIENCE:
            file = folder / min(name for name, _ in other)
            raise RunError(f"All machines must see one run folder, but {file} is not the same for them.")
        time.sleep(0.2)
