"""Candidates on a Ray cluster (extra `ray`): the same pool as on one machine, with an actor for every process.

What all workers need, the supernet's weights and the decoded images, is put into Ray's object store once; a node
fetches it once, and its workers read it where it lies. A worker that dies loses its candidate only, which runs again
elsewhere. Workers are added when a node joins; when one leaves, its workers count as dead.
"""

import logging
import math
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import torch

from evolution.driver import Evaluate, Guarded, Job
from evolution.strategy import Evaluation
from msnas.engine.workers import Lane, WorkerPool
from msnas.errors import ConfigError, RunError

try:
    import ray as _ray
    from ray.exceptions import RayActorError, RayTaskError
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy
except ImportError:
    raise ConfigError("hardware=ray needs Ray: install it with `pip install msnas[ray]`.") from None

ray: Any = _ray  # its functions have no types
log = logging.getLogger(__name__)

GAIN = 1.1  # more workers on a GPU must do so many times the work to be worth their memory
MOST = 8  # workers on a GPU
PROBE = 4.0  # seconds a measurement of `workers_per_gpu`
PATIENCE = 2.0  # seconds between two looks at which nodes there are


@contextmanager
def evaluating_on_ray(
    build: Callable[..., Evaluate],
    *shared: Any,
    address: str | None = None,
    workers: int = 0,
    workers_per_gpu: int | str = "auto",
    threads: int = 1,
    use_gpus: bool = True,
) -> Iterator[Callable[[Iterable[Job]], Iterator[Evaluation]]]:
    """The `evaluate_many` of a search on the cluster at `address` (None: Ray is started on this machine).

    build: makes a worker's evaluator out of `shared`, which every node fetches once. workers: at most so many; 0: as
    many as there is room for. workers_per_gpu: `auto`: measured. threads: CPU threads of a worker. Raises ConfigError
    where there is no cluster at `address`, and RunError where it has no room for one worker.
    """
    if workers < 0 or not (workers_per_gpu == "auto" or (isinstance(workers_per_gpu, int) and workers_per_gpu > 0)):
        raise ConfigError(
            f"`hardware.workers >= 0` and `hardware.workers_per_gpu` auto or >= 1 must hold, but got "
            f"{workers} and {workers_per_gpu}."
        )
    with _connected(address):
        with _tensors_in_place():
            parts = [ray.put(part) for part in shared]
        on_gpus = use_gpus and has_gpus(address)
        if on_gpus and workers_per_gpu == "auto":
            try:
                workers_per_gpu, why = most_useful(lambda count: _rate(count, build, parts)), "as measured"
            except _UntimedError:
                workers_per_gpu, why = 1, "as candidates cannot be timed; give hardware.workers_per_gpu=N for more"
            log.warning("%d workers a GPU, %s.", workers_per_gpu, why)
        elif workers_per_gpu == "auto":
            log.warning("There is no GPU: a worker takes %d of the CPU's threads.", max(1, threads))
        needs = {"num_cpus": max(1, threads), "num_gpus": share_of_gpu(int(workers_per_gpu)) if on_gpus else 0}
        with RayPool(lambda: RayLane(build, parts, needs), needs, at_most=workers) as pool:
            yield pool.evaluate_many


def has_gpus(address: str | None) -> bool:
    """Whether the cluster at `address` (None: of this machine) has a GPU, which all workers then need."""
    with _connected(address):
        return bool(ray.cluster_resources().get("GPU", 0) >= 1)


@contextmanager
def _connected(address: str | None) -> Iterator[None]:
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    here = {"include_dashboard": False, "_node_ip_address": "127.0.0.1"} if address is None else {"address": address}
    try:
        ray.init(**here, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, TimeoutError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(f"ray.address must name a running cluster, but got {address!r}: {reason}") from error
    try:
        yield
    finally:
        ray.shutdown()


class _UntimedError(Exception):
    """What scores candidates has no `steps_per_second`."""


def most_useful(rate: Callable[[int], float | None]) -> int:
    """How many workers to give a GPU: doubled while that does GAIN times the work and memory lasts.

    rate: the work a second of so many workers side by side; None where they do not fit.
    """
    count, best = 1, rate(1)
    while best is not None and 2 * count <= MOST:
        doubled = rate(2 * count)
        if doubled is None or doubled < GAIN * best:
            break
        count, best = 2 * count, doubled
    return count


def share_of_gpu(workers: int) -> float:
    """What one of `workers` asks for. Ray counts in 10,000ths and rounds up: shares of 6 or 7 would not all fit."""
    return 10_000 // workers / 10_000


def _rate(count: int, build: Callable[..., Evaluate], parts: list[Any]) -> float | None:
    """Steps a second of `count` workers together on one GPU; None where one of them cannot work.

    Raises _UntimedError where they cannot tell.
    """
    group = ray.util.placement_group([{"GPU": 1, "CPU": 1}])
    strategy = PlacementGroupSchedulingStrategy(group)  # all of them on the same GPU
    options = {"num_gpus": share_of_gpu(count), "num_cpus": share_of_gpu(count), "scheduling_strategy": strategy}
    actors = [_actor(options, build, parts) for _ in range(count)]
    try:
        ray.get([actor.prepare.remote() for actor in actors])
        rates = ray.get([actor.measure.remote(PROBE) for actor in actors])
        if None in rates:
            raise _UntimedError
        return math.fsum(rates)
    except (RayTaskError, RayActorError) as error:
        if count == 1:
            raise RunError(f"One worker must fit on a GPU, but it failed: {_last_line(error)}") from error
        return None
    finally:
        for actor in actors:
            ray.kill(actor)
        ray.util.remove_placement_group(group)


class _Worker:
    """What runs in an actor; `parts` are read from the node's object store."""

    def __init__(self, build: Callable[..., Evaluate], *parts: Any) -> None:
        self._build, self._parts = build, parts

    def prepare(self) -> None:
        self._evaluate = self._build(*self._parts)

    def score(self, job: Job) -> Evaluation:
        return Guarded(self._evaluate)(Job(*job))

    def measure(self, seconds: float) -> float | None:
        """Steps a second; None where the evaluator cannot tell."""
        measure: Callable[[float], float] | None = getattr(self._evaluate, "steps_per_second", None)
        return None if measure is None else measure(seconds)


def _actor(options: dict[str, Any], build: Callable[..., Evaluate], parts: list[Any]) -> Any:
    return ray.remote(_Worker).options(**options).remote(build, *parts)


class RayPool(WorkerPool):
    """As many lanes as the cluster has room for at the moment, `at_most` where that is not 0."""

    patience = PATIENCE

    def __init__(self, make_lane: Callable[[], Lane], needs: dict[str, float], *, at_most: int) -> None:
        super().__init__([])
        self._make_lane, self._needs, self._at_most = make_lane, needs, at_most
        if self._room() == 0:
            raise RunError(f"The cluster must have room for one worker ({_needed(needs)}), but it has {_there()}.")

    def resize(self, idle: deque[Lane]) -> None:
        """Follow the cluster: a lane for every worker that it has room for."""
        room = self._room()
        while len(self._lanes) < room:
            lane = self._make_lane()
            self._lanes.append(lane)
            idle.append(lane)
        while len(self._lanes) > room and idle:
            lane = next((one for one in idle if not one.was_ready()), idle[-1])
            idle.remove(lane)
            self._lanes.remove(lane)
            lane.stop()

    def _room(self) -> int:
        there = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        room = sum(
            int(min(node.get(kind, 0) / need for kind, need in _kinds(self._needs).items() if need)) for node in there
        )
        return min(room, self._at_most) if self._at_most else room


def _kinds(needs: dict[str, float]) -> dict[str, float]:
    return {"CPU": needs["num_cpus"], "GPU": needs["num_gpus"]}


def _needed(needs: dict[str, float]) -> str:
    return ", ".join(f"{need:g} {kind}" for kind, need in _kinds(needs).items() if need)


def _there() -> str:
    return ", ".join(f"{ray.cluster_resources().get(kind, 0):g} {kind}" for kind in ("CPU", "GPU"))


class RayLane:
    """One actor at a time. A job is given to it only once it runs, since it may wait long for its place."""

    def __init__(self, build: Callable[..., Evaluate], parts: list[Any], needs: dict[str, float]) -> None:
        self._build, self._parts, self._needs = build, parts, needs
        self._actor: Any = None
        self._start: Future[None] = Future()

    def ready(self) -> bool | None:
        """Whether its actor runs, which is started where there is none; None where it died while it started."""
        if self._actor is None:
            self._actor = _actor(self._needs, self._build, self._parts)
            self._start = self._actor.prepare.remote().future()
        if not self._start.done():
            return False
        try:
            self._start.result()
        except RayActorError as error:
            self.stop()
            if error.actor_init_failed:  # will fail again: no such module there, another version, ...
                raise RunError(f"A worker must start on every node, but one cannot: {_last_line(error)}") from error
            return None
        except RayTaskError as error:
            raise error.cause from error
        return True

    def starting(self) -> "Future[None] | None":
        """Done when the actor runs, or died."""
        return None if self._actor is None or self._start.done() else self._start

    def submit(self, job: Job) -> "Future[Evaluation]":
        """Score `job` in the actor."""
        future: Future[Evaluation] = self._actor.score.remote(tuple(job)).future()
        return future

    def take(self, future: "Future[Evaluation]") -> Evaluation | None:
        """The result; None where the actor, or its node, is gone."""
        try:
            return future.result()
        except RayActorError:
            self.stop()
            return None

    def was_ready(self) -> bool:
        """Whether its last actor came so far that a candidate was to blame for its death."""
        return self._start.done() and self._start.exception() is None

    def stop(self) -> None:
        """End the actor, whatever it is doing."""
        if self._actor is not None:
            ray.kill(self._actor)
            self._actor = None


@contextmanager
def _tensors_in_place() -> Iterator[None]:
    """Have Ray keep CPU tensors as arrays, which workers of a node then read without a copy (and must not change)."""
    ray.util.register_serializer(torch.Tensor, serializer=_to_array, deserializer=_from_array)
    try:
        yield
    finally:
        ray.util.deregister_serializer(torch.Tensor)


def _to_array(tensor: torch.Tensor) -> Any:
    return tensor.detach().numpy()


def _from_array(array: Any) -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that the array cannot be written to
        return torch.from_numpy(array)


def _last_line(error: BaseException) -> str:
    """What Ray's long message ends with."""
    return str(getattr(error, "cause", None) or error).strip().splitlines()[-1][:300]
