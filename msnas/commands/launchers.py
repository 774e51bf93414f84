"""Where the jobs of a sweep run, in hydra's words: `hydra/launcher=basic|joblib|submitit_slurm|submitit_local`.

basic: here, one after the other. joblib: side by side on this machine (`hydra.launcher.n_jobs`). submitit: each a job
of Slurm, or of this machine for a trial. `hydra.launcher.KEY=VALUE` are options of those libraries. Jobs that run
elsewhere write what they say into files of their own.
"""

import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from msnas.errors import ConfigError

BASIC, JOBLIB = "basic", "joblib"
SUBMITIT = {"submitit_slurm": "slurm", "submitit_local": "local"}
LAUNCHERS = (BASIC, JOBLIB, *SUBMITIT)
FOLDER = "multirun"  # as hydra calls it


@dataclass(frozen=True)
class Launcher:
    """Its name, one of LAUNCHERS, and the options of the library behind it. Raises ConfigError for another name."""

    name: str = BASIC
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name not in LAUNCHERS:
            raise ConfigError(f"hydra/launcher must be one of {', '.join(LAUNCHERS)}, but got {self.name!r}.")
        if self.options and self.name == BASIC:
            raise ConfigError(
                f"hydra.launcher.KEY=VALUE are options of {', '.join(LAUNCHERS[1:])}, but got "
                f"{', '.join(self.options)} without one of these; give hydra/launcher=NAME."
            )


def launcher_of(words: Sequence[str]) -> Launcher:
    """What `hydra/launcher=NAME` and `hydra.launcher.KEY=VALUE` say, values as yaml. Raises ConfigError."""
    try:
        given = OmegaConf.to_container(OmegaConf.from_dotlist([*words]))
    except (OmegaConfBaseException, YAMLError) as error:
        raise ConfigError(f"hydra.launcher.KEY=VALUE takes values as in yaml, but got {' '.join(words)}.") from error
    assert isinstance(given, dict)
    return Launcher(str(given.get("hydra/launcher", BASIC)), given.get("hydra", {}).get("launcher", {}))


@dataclass(frozen=True)
class Outcome:
    """How a job ended: its exit code, the seconds that it took, the last line that it wrote."""

    code: int
    seconds: float
    last: str


def launch(launcher: Launcher, jobs: Sequence[Sequence[str]]) -> Iterator[Outcome]:
    """The outcomes of command lines, each as soon as it and those before it are over; output is in files of FOLDER.

    Raises ConfigError where the launcher's library is not installed or refuses its options.
    """
    folder = (Path(FOLDER) / time.strftime("%Y-%m-%d") / time.strftime("%H-%M-%S")).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    logs = [folder / f"{number}.log" for number in range(1, len(jobs) + 1)]
    print(f"{len(jobs)} jobs by {launcher.name}; what they say is in {folder}.", file=sys.stderr)
    start = _by_joblib if launcher.name == JOBLIB else _by_submitit
    return start(launcher, list(zip(jobs, logs, strict=True)), folder)


def _by_joblib(launcher: Launcher, jobs: Sequence[tuple[Sequence[str], Path]], folder: Path) -> Iterator[Outcome]:
    try:
        from joblib import Parallel, delayed  # an extra
    except ImportError:
        raise ConfigError("hydra/launcher=joblib needs the extra `joblib`: pip install 'msnas[joblib]'.") from None
    known = [name for name in signature(Parallel).parameters if name != "backend_kwargs"]  # which takes any other word
    if unknown := launcher.options.keys() - {*known}:
        raise _refused(launcher, TypeError(f"{', '.join(sorted(unknown))} is none of {', '.join(known)}"))
    try:
        side_by_side = Parallel(**{"n_jobs": -1, **launcher.options}, return_as="generator")
    except (TypeError, ValueError) as error:
        raise _refused(launcher, error) from error
    outcomes: Iterable[Outcome] = side_by_side(delayed(run_job)(words, log) for words, log in jobs)
    yield from outcomes


def _by_submitit(launcher: Launcher, jobs: Sequence[tuple[Sequence[str], Path]], folder: Path) -> Iterator[Outcome]:
    try:
        import submitit  # an extra
    except ImportError:
        raise ConfigError(
            f"hydra/launcher={launcher.name} needs the extra `slurm`: pip install 'msnas[slurm]'."
        ) from None
    try:
        executor = submitit.AutoExecutor(folder / "submitit", cluster=SUBMITIT[launcher.name])
        executor.update_parameters(**launcher.options)
    except (TypeError, ValueError, NameError, RuntimeError) as error:
        raise _refused(launcher, error) from error
    queued = [executor.submit(run_job, words, log) for words, log in jobs]
    for job in queued:
        try:
            yield job.result()
        except submitit.core.utils.UncompletedJobError as error:  # killed by the cluster, out of time or memory
            yield Outcome(1, 0.0, " ".join(str(error).split())[:200])


def _refused(launcher: Launcher, error: Exception) -> ConfigError:
    reason = " ".join(str(error).split())[:200]
    return ConfigError(f"hydra/launcher={launcher.name} does not take {launcher.options or 'its defaults'}: {reason}.")


def run_job(words: Sequence[str], log: Path) -> Outcome:
    """One command line in this process, everything that it and its children write going to `log`."""
    from msnas.cli import main  # which imports this module

    began = time.monotonic()
    with _written_to(log):
        code = main(words)
    lines = log.read_text(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return Outcome(code, time.monotonic() - began, last)


@contextmanager
def _written_to(log: Path) -> Iterator[None]:
    """Standard output and error, of child processes too, are that file."""
    sys.stdout.flush()
    sys.stderr.flush()
    before = [os.dup(1), os.dup(2)]
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, kept in enumerate(before, start=1):
            os.dup2(kept, number)
            os.close(kept)
