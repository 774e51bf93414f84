"""Processes that decode: the same images and the same complaints as without them, and no process that stays behind."""

import os
import pickle
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from coco_folders import CocoFolder

from msnas.data.batches import Batches, batches_of
from msnas.data.dataset import DetectionDataset
from msnas.data.opening import open_data
from msnas.data.settings import DataSettings
from msnas.errors import ConfigError, DataError
from msnas.worker_process import WorkerProcess

IN_PROCESSES = {"workers": 2, "processes": True, "memory_limit": 0}  # nothing stays in memory


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[WorkerProcess]]:
    """Every process that was started; ended after the test."""
    begun, make = [], WorkerProcess.__init__

    def noted(self: WorkerProcess, *args: object) -> None:
        make(self, *args)
        begun.append(self)

    monkeypatch.setattr(WorkerProcess, "__init__", noted)
    yield begun
    for process in begun:
        process.stop()


def _pixels(data: DetectionDataset) -> list[torch.Tensor]:
    with ThreadPoolExecutor(3) as threads:
        return list(threads.map(data.store.pixels, data.images))


def test_processes_give_the_pixels_that_threads_give(folder: CocoFolder, started: list[WorkerProcess]):
    folder.write()
    here = open_data(folder.settings()).train
    there = open_data(folder.settings(**IN_PROCESSES)).train
    assert all(torch.equal(a, b) for a, b in zip(_pixels(here), _pixels(there), strict=True))
    assert len(started) == 2


def test_batches_do_not_depend_on_who_decodes(folder: CocoFolder, started: list[WorkerProcess]):
    settings = folder.write().settings(**IN_PROCESSES, jitter=(0.5, 1.5))
    plain = Batches(open_data(folder.settings()).train, 4, seed=3, jitter=(0.5, 1.5))
    ahead = batches_of(settings, open_data(settings).train, batch=4, seed=3)
    for step in (0, 1, 5):
        for mine, theirs in zip(plain.batch(step)[0], ahead.batch(step)[0], strict=True):
            assert torch.equal(mine, theirs)
    ahead.close()
    assert started


def test_a_pickled_data_set_starts_processes_of_its_own(folder: CocoFolder, started: list[WorkerProcess]):
    data = open_data(folder.write().settings(**IN_PROCESSES)).train
    first = data.load(0)[0]
    assert torch.equal(pickle.loads(pickle.dumps(data)).load(0)[0], first)
    assert len(started) == 2


def test_a_file_that_breaks_later_is_told_as_without_processes(folder: CocoFolder, started: list[WorkerProcess]):
    folder.write()
    both = [open_data(folder.settings(**settings)).train for settings in ({"memory_limit": 0}, IN_PROCESSES)]
    (folder.images / "train0.png").write_bytes(b"no image")
    told = []
    for data in both:
        with pytest.raises(DataError, match="the image must be readable") as error:
            data.load(0)
        told.append(str(error.value))
    assert told[0] == told[1]


def test_a_process_that_is_ended_is_one_clear_line(folder: CocoFolder, started: list[WorkerProcess]):
    data = open_data(folder.write().settings(**IN_PROCESSES | {"workers": 1})).train
    first = data.load(0)[0]
    os.kill(started[0].submit(os.getpid).result(), signal.SIGKILL)
    with pytest.raises(DataError, match=r"give fewer data.workers, or data.processes=false"):
        data.load(0)
    assert torch.equal(data.load(0)[0], first)  # another takes its place


@pytest.mark.parametrize(("workers", "processes", "number"), [(4, None, 0), (5, None, 5), (8, False, 0), (2, True, 2)])
def test_more_than_four_workers_are_processes_unless_told(workers: int, processes: bool | None, number: int):
    assert DataSettings(root="d", workers=workers, processes=processes).decoding_processes == number


def test_processes_without_workers_are_refused():
    with pytest.raises(ConfigError, match=r"data.processes=true needs processes, but data.workers is 0"):
        DataSettings(root="d", workers=0, processes=True)
