"""Two processes that train together on pretended GPUs, where collectives refuse what nccl refuses."""

import json
from pathlib import Path

import pytest
from rank_starter import run_ranks


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
