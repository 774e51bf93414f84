import json
import os
import socket

import pytest
import torch

from msnas.engine import devices
from msnas.errors import ConfigError

needs_no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="tells what happens where there is no GPU")


@needs_no_gpu
def test_auto_is_the_cpu_in_full_precision_where_there_is_no_gpu():
    chosen = devices.choose("auto")
    assert (chosen.device.type, chosen.precision) == ("cpu", "fp32")


@needs_no_gpu
@pytest.mark.parametrize("device", ["cuda", "cuda:3"])
def test_a_missing_gpu_is_a_config_error_that_says_what_is_there(device):
    with pytest.raises(ConfigError, match=rf"device={device} needs GPU \d, but torch sees none; try cpu or auto"):
        devices.choose(device)


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "", "tpu:0"])
def test_an_unknown_device_is_a_config_error_that_lists_the_known(device):
    with pytest.raises(ConfigError, match="one of auto, cpu, cuda, cuda:N"):
        devices.choose(device)


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setenv("PYTORCH_ALLOC_CONF", "")


@pytest.mark.parametrize(("process", "gpu"), [(0, 0), (1, 1), (2, 0), (5, 1)])
def test_processes_of_a_machine_take_its_gpus_in_turn(two_gpus, process, gpu):
    assert devices.choose("auto", local_rank=process).device == torch.device("cuda", gpu)


def test_memory_is_set_up_and_the_gpu_chosen_before_anything_is_asked_of_it(two_gpus, monkeypatch):
    monkeypatch.delenv("PYTORCH_ALLOC_CONF")
    asked = []
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: asked.append(device.index))
    monkeypatch.setattr(
        torch.cuda,
        "is_bf16_supported",
        lambda including_emulation: asked.append(os.environ["PYTORCH_ALLOC_CONF"]) or True,
    )
    assert devices.choose("cuda", local_rank=1).precision == "bf16"
    assert asked == [1, "expandable_segments:True"]


def test_a_process_that_sees_one_gpu_takes_it_whatever_its_number(two_gpus, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert devices.choose("cuda", local_rank=3).device == torch.device("cuda", 0)


def test_one_gpu_for_all_processes_of_torchrun_is_refused(two_gpus, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match=r"hardware.device=cuda:1 is one GPU for all processes of torchrun; use cuda"):
        devices.choose("cuda:1")


def test_bf16_on_the_cpu_is_refused_with_the_reason():
    with pytest.raises(ConfigError, match="convolutions of maps smaller than their kernel go wrong"):
        devices.choose("cpu", precision="bf16")


def test_fp16_on_the_cpu_is_refused():
    with pytest.raises(ConfigError, match="fp16 needs a GPU"):
        devices.choose("cpu", precision="fp16")


def test_an_unknown_precision_is_refused():
    with pytest.raises(ConfigError, match="one of auto, fp32, bf16, fp16, but got 'int8'"):
        devices.choose("cpu", precision="int8")


def test_negative_threads_are_refused():
    with pytest.raises(ConfigError, match="threads"):
        devices.choose("cpu", threads=-1)


def test_threads_are_set():
    before = torch.get_num_threads()
    try:
        devices.choose("cpu", threads=1)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_a_batch_moves_its_tensors_and_keeps_other_values():
    image, boxes = torch.zeros(3, 2, 2, dtype=torch.uint8), torch.zeros(1, 4)
    images, targets = devices.to_device([image], [{"boxes": boxes, "image_id": 7}], torch.device("meta"))
    assert (images[0].device.type, images[0].dtype) == ("meta", torch.uint8)
    assert (targets[0]["boxes"].device.type, targets[0]["image_id"]) == ("meta", 7)


def test_the_description_is_json_and_names_no_user_host_or_folder():
    report = devices.describe(devices.choose("cpu"))
    text = json.dumps(report)
    assert {"python", "packages", "cpu", "cores", "commit", "device", "threads"} <= report.keys()
    assert report["packages"]["torch"] == torch.__version__
    assert os.path.expanduser("~") not in text
    assert socket.gethostname() not in text
    assert str(devices.Path(devices.__file__).parents[2]) not in text
