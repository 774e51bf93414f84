"""Two processes that train together on pretended GPUs, where collectives refuse what nccl refuses."""

import json
from pathlib import Path

from rank_starter import run_ranks


def test_two_processes_exchange_contiguous_tensors_of_the_gpu_only_and_agree(tmp_path):
    ended = run_ranks(Path(__file__).with_name("strict_rank.py"), str(tmp_path), size=2)
    assert [code for code, _ in ended] == [0, 0], ended
    first, second = (json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in range(2))
    assert first == second
