"""A file has its final name only when it is whole, and a full disk is told by the name of the file."""

import errno
import os

import pytest
from tiny_detectors import make_detector

from msnas.cli import main
from msnas.errors import RunError
from msnas.export.model_file import save
from msnas.files import write_text, written
from msnas.runs.folder import MODEL, MODEL_WEIGHTS

META = {"classes": ["a", "b", "c"], "category_ids": [1, 2, 3]}


@pytest.fixture
def full(monkeypatch):
    """A disk that takes nothing more."""

    def refuse(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("msnas.files.os.fsync", refuse)


def test_a_full_disk_names_the_file_and_leaves_the_old_text(full, tmp_path):
    (tmp_path / "a.json").write_text("old")
    with pytest.raises(OSError, match="No space left") as error:
        write_text(tmp_path / "a.json", "new")
    assert error.value.filename == str(tmp_path / "a.json")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.json", "old")]


def test_a_folder_without_the_right_to_write_names_the_file(tmp_path):
    with pytest.raises(OSError, match="No such file") as error:
        write_text(tmp_path / "gone" / "a.json", "")
    assert error.value.filename == str(tmp_path / "gone" / "a.json")


def test_what_safetensors_says_of_a_full_disk_is_the_systems_error(tmp_path):
    with pytest.raises(OSError, match="No space left") as error, written(tmp_path / "w"):
        raise RuntimeError('I/O error: Os { code: 28, kind: StorageFull, message: "No space left on device" }')
    assert error.value.errno == errno.ENOSPC


def test_another_error_passes_and_leaves_nothing(tmp_path):
    with pytest.raises(RunError), written(tmp_path / "a"):
        raise RunError((tmp_path / ".a.partial").write_text("half"))
    assert list(tmp_path.iterdir()) == []


def test_an_export_to_a_full_disk_is_one_line_and_leaves_no_file(tmp_path, monkeypatch, capsys):
    run, out = tmp_path / "runs" / "a", tmp_path / "out"
    run.mkdir(parents=True)
    save(run / "retrain" / "01-x", make_detector(short_side=48, long_side=64), META)
    monkeypatch.setattr("msnas.commands.export.open_existing", lambda words: _Run(run))
    monkeypatch.setattr("msnas.commands.export.shutil.copyfile", _half)
    assert main(["export", f"out={out}"]) == 2
    assert str(out / MODEL_WEIGHTS) in capsys.readouterr().err
    assert list(out.iterdir()) == []
    assert (run / "retrain" / "01-x" / MODEL).exists()


class _Run:
    name, config = "a", None

    def __init__(self, folder):
        self.folder = folder

    def require(self, stage):
        """Complete."""


def _half(source, target):
    target.write_bytes(b"half")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(source), None, str(target))
