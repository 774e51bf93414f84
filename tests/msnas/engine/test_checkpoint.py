import resource
from contextlib import contextmanager

import pytest
import torch
from torch import nn

from msnas.engine import checkpoint
from msnas.engine.journal import Journal
from msnas.errors import RunError

MADE_WITH = {"seed": 1, "space": {"depth": 13, "heads": (4, 8)}}


@contextmanager
def full_disk(limit=20_000):
    """No file can grow past `limit` bytes, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "checkpoint.pt"
    checkpoint.save(path, {"step": 3, "model": {"w": torch.arange(4)}}, fingerprint=MADE_WITH)
    return path


def test_what_was_saved_is_loaded(saved):
    state = checkpoint.load(saved, fingerprint=MADE_WITH)
    assert (state["step"], state["model"]["w"].tolist()) == (3, [0, 1, 2, 3])


def test_no_file_is_no_state(tmp_path):
    assert checkpoint.load(tmp_path / "checkpoint.pt", fingerprint={}) is None


def test_another_fingerprint_is_refused_with_its_first_difference(saved):
    changed = {"seed": 1, "space": {"depth": 21, "heads": (4, 16)}}
    with pytest.raises(RunError, match=r"made with space.depth=13, but got space.depth=21 \(and 1 more\)"):
        checkpoint.load(saved, fingerprint=changed)


@pytest.mark.parametrize("size", [0, 4, 300])
def test_a_truncated_file_is_refused_in_one_line(saved, size):
    saved.write_bytes(saved.read_bytes()[:size])
    with pytest.raises(RunError, match=r"checkpoint.pt is damaged or no checkpoint; delete it") as told:
        checkpoint.load(saved, fingerprint=MADE_WITH)
    assert "\n" not in str(told.value)


def test_a_file_of_another_format_is_refused(tmp_path):
    torch.save({"format": 99}, tmp_path / "checkpoint.pt")
    with pytest.raises(RunError, match="must have format 1, but got 99"):
        checkpoint.load(tmp_path / "checkpoint.pt", fingerprint={})


def test_a_file_with_code_in_it_is_refused(tmp_path):
    torch.save({"format": 1, "model": nn.Linear(1, 1)}, tmp_path / "checkpoint.pt")
    with pytest.raises(RunError, match="cannot be read"):
        checkpoint.load(tmp_path / "checkpoint.pt", fingerprint={})


def test_a_full_disk_is_one_line_and_leaves_the_older_checkpoint_and_nothing_else(saved):
    large = {"step": 4, "model": {"w": torch.zeros(100_000)}}
    with (
        full_disk(),
        pytest.raises(RunError, match=r"cannot be written \(File too large\); the one before it") as told,
    ):
        checkpoint.save(saved, large, fingerprint=MADE_WITH)
    assert "\n" not in str(told.value)
    assert checkpoint.load(saved, fingerprint=MADE_WITH)["step"] == 3
    assert list(saved.parent.iterdir()) == [saved]


def test_a_full_disk_is_one_line_for_weights_too(tmp_path):
    with (
        full_disk(),
        pytest.raises(RunError, match=r"weights.safetensors cannot be written \(.*File too large"),
    ):
        checkpoint.save_weights(tmp_path / "weights.safetensors", nn.Linear(300, 300))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line_for_metrics_too(tmp_path):
    with Journal(tmp_path / "metrics.jsonl") as journal, full_disk(28):
        journal.write({"step": 0})
        journal.write({"step": 1})
        with pytest.raises(RunError, match=r"metrics.jsonl cannot be written \(.*space.*\)"):
            journal.write({"step": 2})


def test_a_line_torn_by_a_full_disk_is_gone_when_the_run_goes_on(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 0}\n{"step": 1}\n{"st')
    with Journal(path, first_step=2) as journal:
        journal.write({"step": 2})
    assert path.read_text() == '{"step": 0}\n{"step": 1}\n{"step": 2}\n'


def test_a_folder_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(RunError, match=r"cannot be written \(No such file or directory\)"):
        checkpoint.save(tmp_path / "gone" / "checkpoint.pt", {}, fingerprint={})


def test_weights_of_another_network_are_refused(tmp_path):
    checkpoint.save_weights(tmp_path / "w.safetensors", nn.Linear(3, 3))
    with pytest.raises(RunError, match="weights of another network"):
        checkpoint.load_weights(tmp_path / "w.safetensors", nn.Linear(3, 4))


def test_missing_weights_name_what_to_do(tmp_path):
    with pytest.raises(RunError, match="is missing; finish the stage"):
        checkpoint.load_weights(tmp_path / "w.safetensors", nn.Linear(3, 4))
