"""The networks of a stage: trained one after another in this process, or side by side, each whole in one of its own.

Small networks leave most of a second core idle, and a machine of several GPUs trains as many of them at a time. What a
network becomes does not depend on what is trained beside it.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch

from msnas.data.opening import Splits
from msnas.engine.devices import Hardware
from msnas.engine.distributed import ALONE, Group
from msnas.engine.gpu_turns import is_out_of_memory, turn
from msnas.engine.interrupt import Interrupted, StopSignal
from msnas.errors import RunError, TrainingError
from msnas.files import read_json, write_json
from msnas.pipeline.standalone_training import Entry, schedule_of, train_entry
from msnas.runs.folder import PLAN, RESULT, STATUS
from msnas.runs.progress import Progress
from msnas.setup.setup import Setup
from msnas.worker_process import WorkerProcess

Lost = Callable[[Entry, TrainingError], None]
LOOK_EVERY = 1.0  # seconds between two looks at how far the networks are
log = logging.getLogger(__name__)


def train_entries(
    setup: Setup,
    entries: Sequence[Entry],
    folder: Path,
    splits: Splits,
    hardware: Hardware,
    group: Group = ALONE,
    *,
    lost: Lost | None = None,
) -> None:
    """Train, each in its own folder below `folder`, what is not trained yet: `hardware.workers` networks at a time.

    Processes that train one network together (`group`) train one after another. lost: told of a network that cannot be
    trained; None: that ends the others too. Raises TrainingError, RunError where a process dies, and Interrupted.
    """
    side_by_side = setup.hardware.side_by_side if group.size == 1 else 1
    if group.writes:
        write_json(folder / PLAN, {"networks": len(entries), "side_by_side": side_by_side})
    if side_by_side > 1:
        _train_side_by_side(setup, entries, folder, len(splits.train), lost)
        return
    for entry in entries:
        if not (folder / entry.folder / RESULT).exists():
            if group.writes:
                _announce(entry, entries)
            try:
                train_entry(setup, entry, folder / entry.folder, splits, hardware, group)
            except TrainingError as error:
                _tell(lost, entry, error)


def seconds_taken(folder: Path, results: Sequence[Mapping[str, Any]]) -> float:
    """About how long the trainings below `folder` took, of which several may have been made at a time."""
    return float(sum(result["seconds"] for result in results) / read_json(folder / PLAN)["side_by_side"])


def _train_side_by_side(setup: Setup, entries: Sequence[Entry], folder: Path, images: int, lost: Lost | None) -> None:
    """After Ctrl-C every network saves where it is, and then Interrupted is raised."""
    steps = {entry.folder: schedule_of(setup, entry, images).steps for entry in entries}
    total, made, stopping = sum(steps.values()), _done(folder, steps), False
    waiting = [entry for entry in entries if not (folder / entry.folder / RESULT).exists()]
    busy: dict[Future[bool], tuple[Entry, WorkerProcess]] = {}
    with (
        _processes(min(setup.hardware.side_by_side, len(waiting))) as idle,
        Progress(folder.name, total) as progress,
        StopSignal() as stop,
    ):
        while waiting or busy:
            while waiting and idle:
                entry, process = waiting.pop(0), idle.pop(0)
                _announce(entry, entries)
                busy[process.submit(_train, setup, entry, folder / entry.folder)] = (entry, process)
            finished, _ = wait(busy, timeout=LOOK_EVERY, return_when=FIRST_COMPLETED)
            for future in finished:
                entry, process = busy.pop(future)
                _take(future, entry, lost, stopping=stopping)
                idle.append(process)
            if (done := _done(folder, steps)) > made:
                made = done
                names = [entry.folder for entry, _ in busy.values()]
                where = ", ".join(f"{name} {_steps(folder / name)}/{steps[name]}" for name in names)
                progress.update(done, where, seconds=LOOK_EVERY)
            if stop.requested and not stopping:
                stopping = True
                waiting.clear()
                for _, process in busy.values():
                    process.ask_to_stop()
    if stopping:
        raise Interrupted(folder.name, _done(folder, steps), total)


@contextmanager
def _processes(number: int) -> Iterator[list[WorkerProcess]]:
    """Idle processes, which end with the block."""
    with ExitStack() as stack:
        processes = [WorkerProcess(i) for i in range(number)]
        for process in processes:
            stack.callback(process.stop)
        yield processes


_splits: Splits | None = None  # as this worker's networks read them


def _train(setup: Setup, entry: Entry, folder: Path) -> bool:
    """In a worker: train one network; False where it was asked to stop, and has saved where it is."""
    global _splits
    hardware = setup.hardware.for_networks()
    if _splits is None:
        _splits = setup.family.prepared(setup.splits(scoring=False), setup.data, hardware)
    try:
        _train_in_turn(setup, entry, folder, _splits, hardware)
    except Interrupted:
        return False
    return True


def _train_in_turn(setup: Setup, entry: Entry, folder: Path, splits: Splits, hardware: Hardware) -> None:
    """Train beside others of this GPU; once more, alone on it, where its memory did not last for all of them."""
    with turn(hardware.device):
        try:
            train_entry(setup, entry, folder, splits, hardware, quiet=True)
            return
        except (TrainingError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
    log.info("%s is trained again, alone on its GPU: memory did not last for others beside it.", entry.name)
    torch.cuda.empty_cache()  # the error is gone, and with it what it held
    with turn(hardware.device, alone=True):
        train_entry(setup, entry, folder, splits, hardware, quiet=True)


def _take(future: "Future[bool]", entry: Entry, lost: Lost | None, *, stopping: bool) -> None:
    """Raise what went wrong, unless somebody is to be told, or it was asked to stop."""
    try:
        future.result()
    except BrokenProcessPool as error:
        if not stopping:
            raise RunError(
                f"A network's process must live until it is trained, but that of {entry.name} died; most likely no "
                f"memory was left: lower hardware.workers. The same command goes on from the last checkpoint."
            ) from error
    except TrainingError as error:
        _tell(lost, entry, error)


def _tell(lost: Lost | None, entry: Entry, error: TrainingError) -> None:
    if lost is None:
        raise error
    lost(entry, error)


def _announce(entry: Entry, entries: Sequence[Entry]) -> None:
    number = entries.index(entry) + 1
    log.info("Training %d of %d: %s  %s", number, len(entries), entry.name, entry.architecture)


def _done(folder: Path, steps: dict[str, int]) -> int:
    """Steps that are made, of all networks."""
    return sum(total if (folder / name / RESULT).exists() else _steps(folder / name) for name, total in steps.items())


def _steps(folder: Path) -> int:
    """Steps that a network has made, as it last said."""
    status = read_json(folder / STATUS)
    return 0 if status is None else int(status["done"])
