"""Two processes on this machine train together over gloo; every test looks at one thing that they did."""

import json
from pathlib import Path

import pytest
import rank_process
import torch
from engine_fakes import TinyBatches, TinySupernet, schedule, state_bits
from rank_process import SIZE, Linear
from rank_starter import run_ranks

from msnas.engine.loop import Training, train


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    ended = run_ranks(Path(rank_process.__file__), str(folder), size=SIZE)
    assert [code for code, _ in ended] == [0] * SIZE, ended
    return folder


@pytest.fixture(scope="module")
def ranks(folder):
    return [json.loads((folder / f"rank{rank}.json").read_text()) for rank in range(SIZE)]


def test_weights_and_statistics_are_equal_on_all_ranks_after_fifty_steps(ranks):
    first, second = (rank["fifty"]["state"] for rank in ranks)
    assert first == second


def test_branches_that_no_path_visited_are_bit_identical_after_fifty_steps(ranks):
    before = {name: bits.hex() for name, bits in state_bits(TinySupernet()).items()}
    after = ranks[0]["fifty"]["state"]
    unsampled = [name for name in before if name.startswith("blocks.2.1.")]
    assert unsampled
    assert all(after[name] == before[name] for name in unsampled)
    assert all(after[name] != before[name] for name in before if name.startswith("blocks.2.0."))


def test_both_ranks_together_see_the_images_that_one_process_would(ranks):
    seen = [a + b for a, b in zip(ranks[0]["fifty"]["ids"], ranks[1]["fifty"]["ids"], strict=True)]
    assert seen == [[4 * step + i for i in range(4)] for step in range(50)]


def test_only_one_rank_writes(folder):
    lines = (folder / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(50))
    assert {path.name for path in (folder / "run").iterdir()} == {"metrics.jsonl", "checkpoint.pt"}


def test_the_checkpoint_holds_the_statistics_averaged_over_the_ranks(folder, ranks):
    kept = torch.load(folder / "run" / "checkpoint.pt", weights_only=True)["model"]
    assert {name: value.numpy().tobytes().hex() for name, value in kept.items()} == ranks[1]["fifty"]["state"]


def test_a_signal_to_one_rank_stops_all_after_the_same_step(ranks):
    told = {rank["resumed"]["stopped"] for rank in ranks}
    assert told == {"Interrupted: test stopped after 21 of 50 steps, all of them saved."}


def test_an_interrupted_and_resumed_run_has_the_weights_of_the_uninterrupted_one(ranks):
    whole, resumed = ranks[0]["fifty"]["state"], ranks[0]["resumed"]["state"]
    weights = [name for name in whole if "running" not in name]  # averaged once more, they may differ by rounding
    assert {name: resumed[name] for name in weights} == {name: whole[name] for name in weights}


def test_without_batch_norm_two_processes_learn_what_one_does(ranks):
    alone = Linear()
    train(alone, TinyBatches(), Training(schedule=schedule(steps=20), seed=1, stage="test"))
    torch.testing.assert_close(torch.tensor(ranks[0]["linear"]), alone.layer.weight.detach().flatten())


def test_different_paths_on_two_ranks_are_an_assertion_on_both(ranks):
    for number, rank in enumerate(ranks):
        assert rank["other_path"].startswith("AssertionError: All processes must follow one path")
        assert f"rank {number} has (0, 0, {number}) at step 3" in rank["other_path"]


def test_a_loss_that_is_not_finite_on_one_rank_is_told_by_all_with_its_images(ranks):
    assert ranks[0]["poisoned"] == ranks[1]["poisoned"]
    assert "at step 2, images [8, 9]" in ranks[0]["poisoned"]


def test_gradients_are_averaged_and_stay_none_where_no_rank_has_one(ranks):
    for rank in ranks:
        assert rank["gradients"] == [[[1.5] * 3] * 2, [[2.0] * 3] * 2, None, [2.0, 5.0]]


def test_a_process_that_loads_the_whole_batch_is_an_assertion(ranks):
    assert ranks[0]["whole_batch"].startswith("AssertionError: every process loads its own share")


def test_what_the_first_process_decides_holds_for_all(ranks):
    assert [rank["decided"] for rank in ranks] == ["rank 0"] * 2


def test_what_is_gathered_on_the_first_process_comes_to_it_alone(ranks):
    assert [rank["gathered"] for rank in ranks] == [["rank 0", "rank 1"], []]
