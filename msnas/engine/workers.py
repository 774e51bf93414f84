"""Candidates side by side in processes of this machine. Free of torch until a worker builds its evaluator.

Every worker is a `WorkerProcess`: when one dies, exactly its candidate is lost, known by name, and run again
elsewhere, while the others go on. A worker builds its evaluator once, from paths and settings, so that no weights
travel between processes.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol, Self

from evolution.driver import Evaluate, Guarded, Job, evaluate_with
from evolution.strategy import FAILED, Evaluation
from msnas.errors import RunError
from msnas.worker_process import WorkerProcess

Build = Callable[[], Evaluate]
"""Makes a process's evaluator; can be pickled: a `functools.partial` of a function and plain values."""

TRIES = 3  # a candidate whose worker died is run again twice
STARTS = 3  # workers in a row that may die before they are ready


@contextmanager
def evaluating(build: Build, *, workers: int = 0) -> Iterator[Callable[[Iterable[Job]], Iterator[Evaluation]]]:
    """The `evaluate_many` of a search: in this process (0 workers), or in so many others.

    The scores are the same either way.
    """
    if workers == 0:
        evaluate_here = evaluate_with(build())
        yield lambda jobs: iter(evaluate_here(jobs))
        return
    with WorkerPool(ProcessLane(build, number) for number in range(workers)) as pool:
        yield pool.evaluate_many


class _Task(NamedTuple):
    job: Job
    deaths: int = 0


class Lane(Protocol):
    """One worker at a time: a process here, or an actor of a cluster."""

    def ready(self) -> bool | None:
        """Whether a job can be given to it; None where it died while it started, so that it has to start again.

        Raises what building its evaluator raised.
        """

    def starting(self) -> "Future[Any] | None":
        """Done when `ready` has news."""

    def submit(self, job: Job) -> "Future[Evaluation]":
        """Score `job`."""

    def take(self, future: "Future[Evaluation]") -> Evaluation | None:
        """The result; None where the worker died."""

    def was_ready(self) -> bool:
        """Whether the worker came so far that a candidate was to blame for its death."""

    def stop(self) -> None:
        """End the worker, whatever it is doing; the lane can be used again."""


class WorkerPool:
    """Workers that start with the first job and end with `close`, or when this process does."""

    patience: float | None = None  # seconds after which `resize` is asked again

    def __init__(self, lanes: Iterable[Lane]) -> None:
        self._lanes = list(lanes)

    def resize(self, idle: deque[Lane]) -> None:
        """Where workers come and go: add lanes to `self._lanes` and `idle`, or take idle ones from both."""

    def evaluate_many(self, jobs: Iterable[Job]) -> Iterator[Evaluation]:
        """One evaluation for every job, as they finish.

        A job is taken from `jobs` when a worker is free for it, so `jobs` may be a generator that decides
        then. A candidate whose worker dies `TRIES` times is failed. Raises what building an evaluator
        raises, and RunError where workers die while they start.
        """
        waiting, lost = iter(jobs), deque[_Task]()
        idle, busy = deque(self._lanes), dict[Future[Evaluation], tuple[Lane, _Task]]()
        starts = _Starts()
        try:
            while True:
                self.resize(idle)
                if not self._give(idle, busy, lost, waiting, starts) and not busy:
                    return
                for future in self._finished(idle, busy):
                    lane, task = busy.pop(future)
                    evaluation = lane.take(future)
                    idle.append(lane)  # last: a lost candidate goes to another worker if one is free
                    if evaluation is None and not lane.was_ready():
                        starts.fail()
                        lost.append(task)  # not the candidate's fault
                    elif evaluation is None and task.deaths + 1 < TRIES:
                        lost.append(task._replace(deaths=task.deaths + 1))
                    else:
                        starts.failed = 0
                        yield evaluation or _died(task.job)
        finally:
            for lane, _ in busy.values():  # whoever asked does not want these any more
                lane.stop()

    def _give(
        self,
        idle: deque[Lane],
        busy: dict["Future[Evaluation]", tuple[Lane, "_Task"]],
        lost: deque["_Task"],
        waiting: Iterator[Job],
        starts: "_Starts",
    ) -> bool:
        """Give jobs to idle lanes; False where there is a lane left and no job for it."""
        for lane in list(idle):
            is_ready = lane.ready()
            if is_ready is None:
                starts.fail()
            elif is_ready:
                task = _next(lost, waiting)
                if task is None:
                    return False
                idle.remove(lane)
                busy[lane.submit(task.job)] = (lane, task)
        return True

    def _finished(
        self, idle: deque[Lane], busy: dict["Future[Evaluation]", tuple[Lane, "_Task"]]
    ) -> list["Future[Evaluation]"]:
        """Wait for a candidate, or for a worker that starts, or until `patience` ends."""
        awaited: list[Future[Any]] = [*busy, *(start for lane in idle if (start := lane.starting()))]
        if awaited:
            wait(awaited, timeout=self.patience, return_when=FIRST_COMPLETED)
        elif self.patience:
            time.sleep(self.patience)  # no worker at all: one may join
        return [future for future in busy if future.done()]

    def close(self) -> None:
        """End all workers at once; what they were doing is lost."""
        for lane in self._lanes:
            lane.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Starts:
    """Workers in a row that died while they started."""

    failed = 0

    def fail(self) -> None:
        """One more; raises RunError where they are STARTS."""
        self.failed += 1
        if self.failed == STARTS:
            raise RunError(_DYING)


_DYING = (
    f"Workers must start, but {STARTS} in a row died while they did; most likely no memory was left: "
    f"lower hardware.workers."
)


def _next(lost: deque[_Task], waiting: Iterator[Job]) -> _Task | None:
    if lost:
        return lost.popleft()
    job = next(waiting, None)
    return None if job is None else _Task(job)


def _died(job: Job) -> Evaluation:
    reason = f"Its worker process died {TRIES} times; most likely no memory was left."
    return Evaluation(**job._asdict(), status=FAILED, reason=reason)


class ProcessLane:
    """One worker process at a time; the next begins when this one has died.

    number: from 0; worker i of n takes GPU i modulo the number of GPUs.
    """

    def __init__(self, build: Build, number: int = 0) -> None:
        self._build, self._number = build, number
        self._process: WorkerProcess | None = None
        self._ready: Future[None] = Future()

    def submit(self, job: Job) -> Future[Evaluation]:
        """Score `job` in the worker, which is started if there is none."""
        if self._process is None:
            self._process = WorkerProcess(self._number)
            self._ready = self._process.submit(_prepare, self._build)
        return self._process.submit(_score, job)

    def take(self, future: Future[Evaluation]) -> Evaluation | None:
        """The result, or None where the worker died; raises what building its evaluator raised."""
        try:
            self._ready.result()
            return future.result()
        except BrokenProcessPool:
            self.stop()
            return None

    def ready(self) -> bool:
        """Always: a process is started by its first job, which then waits for it."""
        return True

    def starting(self) -> None:
        """Nothing to wait for."""

    def was_ready(self) -> bool:
        """Whether the worker came so far that a candidate was to blame for its death."""
        return self._ready.done() and self._ready.exception() is None

    def stop(self) -> None:
        """End the worker, whatever it is doing."""
        if self._process is not None:
            self._process.stop()
        self._process = None


_scorer: Guarded | None = None  # this worker's; one process has one evaluator


def _prepare(build: Build) -> None:
    global _scorer
    _scorer = Guarded(build())


def _score(job: Job) -> Evaluation:
    assert _scorer is not None, "a worker prepares before it scores"
    return _scorer(job)
