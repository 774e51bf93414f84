"""Workers take turns on a GPU; the locks are the same whatever the device is."""

import threading
import time

import pytest
import torch

from msnas.engine import gpu_turns
from msnas.engine.gpu_turns import is_out_of_memory, turn
from msnas.errors import TrainingError

GPU = torch.device("cuda", 0)


@pytest.fixture(autouse=True)
def one_card(monkeypatch):
    monkeypatch.setattr(gpu_turns, "_identity", lambda device: "card")


def started(action):
    thread = threading.Thread(target=action, daemon=True)
    thread.start()
    time.sleep(0.1)
    return thread


def test_workers_share_a_gpu(tmp_path):
    inside = []

    def work():
        with turn(GPU, folder=tmp_path):
            inside.append("second")

    with turn(GPU, folder=tmp_path):
        started(work).join(10)
        assert inside == ["second"]


def test_who_wants_to_be_alone_waits_for_those_that_work_and_is_before_newcomers(tmp_path):
    order = []

    def work(name, *, alone):
        with turn(GPU, alone=alone, folder=tmp_path):
            order.append(name)

    with turn(GPU, folder=tmp_path):
        threads = [started(lambda: work("alone", alone=True)), started(lambda: work("newcomer", alone=False))]
        assert order == []
    for thread in threads:
        thread.join(10)
    assert order == ["alone", "newcomer"]


def test_out_of_memory_is_known_by_its_cause():
    with pytest.raises(TrainingError) as caught:
        raise TrainingError("No memory.") from torch.OutOfMemoryError("CUDA out of memory")
    assert is_out_of_memory(caught.value)
    assert not is_out_of_memory(ValueError("thirteen"))


@pytest.mark.parametrize(
    "said",
    [
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
        "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported",
    ],
)
def test_out_of_memory_is_known_in_the_words_of_cublas_cudnn_and_the_driver(said):
    assert is_out_of_memory(RuntimeError(said))
    assert not is_out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED"))


def test_where_no_file_can_be_locked_work_goes_on_and_that_is_said(tmp_path, caplog):
    with turn(GPU, folder=tmp_path / "gone"):
        pass
    assert "cannot wait for one another ([Errno 2] No such file" in caplog.text
