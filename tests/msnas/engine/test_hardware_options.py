"""What a user says about where the work is done, before any device is chosen."""

import os

import pytest
import torch

from msnas.engine.distributed import Group
from msnas.engine.hardware_options import HardwareOptions
from msnas.errors import ConfigError

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


@pytest.fixture(autouse=True)
def restored_threads():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_a_negative_number_of_workers_is_refused():
    with pytest.raises(ConfigError, match="workers >= 0"):
        HardwareOptions(workers=-1)


def test_networks_side_by_side_share_the_cores():
    assert HardwareOptions(device="cpu", workers=2).for_networks().threads == max(1, CORES // 2)


def test_networks_side_by_side_have_as_many_threads_as_the_user_says():
    assert HardwareOptions(device="cpu", workers=2, train_threads=3).for_networks().threads == 3


def test_a_network_alone_has_what_any_training_has():
    options = HardwareOptions(device="cpu")
    assert (options.side_by_side, options.for_networks()) == (1, options.for_training())


def test_the_workers_of_a_cluster_are_for_candidates():
    assert HardwareOptions(engine="ray", workers=8).side_by_side == 1


def test_processes_train_where_they_were_joined():
    """The run's own words may name another device than those of the command did."""
    options = HardwareOptions(device="cpu")
    assert options.for_training_in(Group(rank=1, size=2)) == options.for_training()
    with pytest.raises(ConfigError, match=r"joined on, cuda:1, but the run has cpu; give hardware.device=cpu with"):
        options.for_training_in(Group(rank=1, size=2, device=torch.device("cuda", 1)))
