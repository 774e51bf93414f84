"""Where the jobs of a sweep run, in hydra's words: `hydra/launcher=basic|joblib|submitit_slurm|submitit_local`.

basic: here, one after the other. joblib: side by side on this machine (`hydra.launcher.n_jobs`). submitit: each a job
of Slurm, or of this machine for a trial. `hydra.launcher.KEY=VALUE` are options of those libraries, those of a cluster
with or without its name before them (`partition`, `slurm_partition`). Jobs that run elsewhere write what they say into
files of their own.
"""

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
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
SHARED = {  # options of submitit that every cluster has
    "name", "timeout_min", "mem_gb", "nodes", "cpus_per_task", "gpus_per_node", "tasks_per_node", "stderr_to_stdout",
}  # fmt: skip
FOLDER = "multirun"  # as hydra calls it
TIMEOUT = 60  # minutes of a job of submitit, as in hydra's plugin; submitit's own are 5


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
    """How a job ended: its exit code (128 and more: a signal's), its seconds, the last line that it wrote."""

    code: int
    seconds: float
    last: str


def logs_folder() -> Path:
    """A new place for what the jobs of a sweep say, named by the time, as hydra does."""
    return (Path(FOLDER) / time.strftime("%Y-%m-%d") / time.strftime("%H-%M-%S")).absolute()


def launch(launcher: Launcher, jobs: Sequence[Sequence[str]], folder: Path) -> Iterator[Outcome]:
    """The outcomes of command lines, each as soon as it and those before it are over; output is in `folder`/N.log.

    Raises ConfigError where the launcher's library is not installed or refuses its options.
    """
    folder.mkdir(parents=True, exist_ok=True)
    logs = [folder / f"{number}.log" for number in range(1, len(jobs) + 1)]
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
        side_by_side = Parallel(**{"n_jobs": -1, "prefer": "threads", **launcher.options}, return_as="generator")
    except (TypeError, ValueError) as error:
        raise _refused(launcher, error) from error
    outcomes: Iterator[Outcome] = side_by_side(delayed(run_job)(words, log) for words, log in jobs)
    return outcomes


def _by_submitit(launcher: Launcher, jobs: Sequence[tuple[Sequence[str], Path]], folder: Path) -> Iterator[Outcome]:
    try:
        import submitit  # an extra
    except ImportError:
        raise ConfigError(
            f"hydra/launcher={launcher.name} needs the extra `slurm`: pip install 'msnas[slurm]'."
        ) from None
    cluster = SUBMITIT[launcher.name]
    try:
        executor = submitit.AutoExecutor(folder / "submitit", cluster=cluster)
        executor.update_parameters(**{"timeout_min": TIMEOUT, **in_submitits_words(launcher.options, cluster)})
        queued = [executor.submit(run_job, words, log) for words, log in jobs]
    except (TypeError, ValueError, NameError, RuntimeError, AssertionError) as error:  # its words for a wrong option
        raise _refused(launcher, error) from error
    return _outcomes(queued)


def in_submitits_words(options: Mapping[str, Any], cluster: str) -> dict[str, Any]:
    """What every cluster has as it is; the others with the cluster's name before them, which hydra leaves out."""
    prefix = f"{cluster}_"
    return {key if key in SHARED or key.startswith(prefix) else prefix + key: value for key, value in options.items()}


def _outcomes(queued: Sequence[Any]) -> Iterator[Outcome]:
    """Of jobs in their order. Ctrl-C cancels those that are not over: nobody would wait for them any more."""
    try:
        yield from map(_outcome, queued)
    except KeyboardInterrupt:
        for job in queued:
            if not job.done():
                job.cancel()
        raise


def _outcome(job: Any) -> Outcome:
    from submitit.core.utils import UncompletedJobError  # an extra

    try:
        ended: Outcome = job.result()
    except UncompletedJobError as error:  # killed by the cluster, out of time or memory
        return Outcome(1, 0.0, " ".join(str(error).split())[:200])
    return ended


def _refused(launcher: Launcher, error: Exception) -> ConfigError:
    reason = " ".join(str(error).split())[:200]
    return ConfigError(f"hydra/launcher={launcher.name} does not take {launcher.options or 'its defaults'}: {reason}.")


def run_job(words: Sequence[str], log: Path) -> Outcome:
    """One command line in a process of its own, everything that it says going to `log`."""
    began = time.monotonic()
    with log.open("wb") as file:
        command = [sys.executable, "-m", "msnas.cli", *words]
        code = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, check=False).returncode
    lines = log.read_text(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return Outcome(code if code >= 0 else 128 - code, time.monotonic() - began, last)
