"""Two processes that train together on pretended GPUs, where collectives refuse what nccl refuses."""

import json
from pathlib import Path

import pytest
import torch
from pretended_cuda import pretended_cuda
from rank_starter import run_ranks
from strict_rank import strict, strict_objects


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    ended = run_ranks(Path(__file__).with_name("strict_rank.py"), str(folder), size=2)
    assert [code for code, _ in ended] == [0, 0], ended
    return [json.loads((folder / f"rank{rank}.json").read_text()) for rank in range(2)]


def test_two_processes_exchange_contiguous_tensors_of_the_gpu_only_and_agree(ranks):
    assert ranks[0]["state"] == ranks[1]["state"]


def test_a_step_has_one_small_collective_and_one_of_the_gradients(ranks):
    assert [rank["first step"] for rank in ranks] == [["all_gather", "all_reduce"]] * 2


def test_objects_are_gathered_on_all_and_on_the_first_alone(ranks):
    assert [rank["judged"] for rank in ranks] == [["judged", [0, 1]], ["judged", []]]
    assert [rank["asked"] for rank in ranks] == [["all_gather_object", "gather_object"]] * 2


FAULTS = {
    "of the CPU": lambda: torch.ones(2, 3),
    "that is not contiguous": lambda: torch.ones(2, 3).to("cuda").T,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_collective_of_a_tensor_that_nccl_refuses_is_caught(fault):
    with pretended_cuda(), pytest.raises(AssertionError, match=f"all_reduce of a tensor {fault}"):
        strict("all_reduce", lambda tensor: None, [])(FAULTS[fault]())


def test_a_tensor_of_the_gpu_inside_an_object_is_caught():
    with pretended_cuda(), pytest.raises(AssertionError, match="inside an object"):
        strict_objects("gather_object", lambda value: None, [])({"boxes": torch.ones(3).to("cuda")})
