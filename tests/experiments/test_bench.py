"""`make bench` and `make bench-gpu` name their rows, and a row runs; what it measures neither passes nor fails."""

import bench
import gpu_list
import pytest
import torch
from timing import Row, Target


@pytest.mark.parametrize("listed", [bench, gpu_list])
def test_the_rows_are_listed_without_running_one(listed, capsys):
    listed.main(["--list"])
    assert capsys.readouterr().out.split() == list(listed.ROWS)


def test_a_row_that_does_not_exist_is_named_with_those_that_do():
    with pytest.raises(SystemExit, match=r"A row must be one of step, .*, but got stepp\."):
        bench.main(["stepp"])


def test_a_tiny_row_runs(capsys):
    bench.main(["draw", "--tiny"])
    assert "| 2 draws in the budget of R18 | drawn inside: " in capsys.readouterr().out


def test_the_rows_of_the_gpu_s_list_run_on_a_cpu(capsys):
    slow = {"compile", "workers"}  # a compiler's run, and processes of their own
    gpu_list.main([*(name for name in gpu_list.ROWS if name not in slow), "--device", "cpu", "--tiny"])
    out = capsys.readouterr().out
    assert "| optimizer: fused / foreach | fused: " in out
    assert "| copy of a step | copy: " in out
    assert "no memory was left" not in out


def test_a_row_that_a_small_card_has_no_memory_for_does_not_end_the_list(monkeypatch, capsys):
    def full(bench):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setitem(gpu_list.ROWS, "precision", full)
    gpu_list.main(["precision", "--device", "cpu", "--tiny"])
    assert "| precision | no memory was left on this card |" in capsys.readouterr().out


def test_a_row_shows_the_spread_of_the_ratios_and_keeps_its_target_by_their_median():
    row = Row("a / b", ("a", [1, 2, 6]), ("b", [1, 1, 2]), "s", Target(2))
    assert str(row) == "| a / b | a: 2 (1 to 6) | b: 1 (1 to 2) | s | 2 (1 to 3) | <= 2 | yes |"


def test_without_a_gpu_its_list_says_so(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit, match="needs one, but torch sees none"):
        gpu_list.main([])
