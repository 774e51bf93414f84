"""The history: exact, append-only, one writer, and a clear refusal instead of damage."""

import errno
import fcntl
import os
import resource
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from toy_space import toy_evaluation

from evolution.errors import StrategyError
from evolution.history import History, describe_difference, file_system
from evolution.strategy import Evaluation

FINGERPRINT = {"space": "toy", "budget": {"macs": 800, "tolerance": 0.01}, "supernet": "abc"}
GENOME = (1, 2, 1, 1, 0, 2, 2, 0, 1, 2)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "history.sqlite"


def open_at(path, **changes):
    return History(path, **{"fingerprint": FINGERPRINT, **changes})


def failed(genome=GENOME):
    return Evaluation(genome=genome, status="failed", reason="out of memory")


def in_another_process(code, path, **options):
    """What `code`, which has `path` and `open_at`, prints there."""
    setup = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
    setup += f"from test_history import *\npath = Path({str(path)!r})\n"
    command = [sys.executable, "-c", setup + code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_what_was_stored_comes_back_bit_for_bit(path):
    evaluation = Evaluation(genome=GENOME, score=(0.1 + 0.2, 5e-324), seed=2**62, cost={"macs": 2**60 + 1})
    with open_at(path) as history:
        history.append(evaluation)
    with open_at(path) as history:
        assert history.evaluations() == [evaluation]
        assert history.find(GENOME, 0) == evaluation


@pytest.mark.parametrize("journal", ["wal", "rollback"])
def test_both_journals_keep_everything(path, journal):
    with open_at(path, journal=journal) as history:
        history.append(toy_evaluation(GENOME))
        history.commit({"generation": 0}, {"n": 1})
        with closing(sqlite3.connect(path)) as database:
            mode = database.execute("PRAGMA journal_mode").fetchone()[0]
    assert mode == {"wal": "wal", "rollback": "delete"}[journal]
    with History.read(path) as view:
        assert (len(view.evaluations()), view.generations(), view.state()) == (
            1,
            [{"generation": 0}],
            {"n": 1},
        )


@pytest.fixture
def clock(monkeypatch):
    """The clock of the history; whoever changes its only number lets time pass."""
    now = [100.0]
    monkeypatch.setattr("evolution.history.monotonic", lambda: now[0])
    return now


def test_elapsed_time_is_that_of_all_writers_and_not_of_their_workers(path, clock):
    for writer in range(2):
        with open_at(path) as history:
            clock[0] += 5
            for worker in range(2):  # side by side: both took 5 seconds
                history.append(replace(toy_evaluation(GENOME, 2 * writer + worker), seconds=5.0))
        clock[0] += 1000  # nobody works
    with open_at(path) as history:
        assert history.elapsed() == 10


def test_evaluations_from_before_times_were_kept_count_their_own_seconds(path, clock):
    with open_at(path) as history:
        history.append(replace(toy_evaluation(GENOME), seconds=7.0))
    database = sqlite3.connect(path)
    database.execute("ALTER TABLE evaluations DROP COLUMN elapsed")
    database.close()
    with open_at(path) as history:
        clock[0] += 2
        history.append(toy_evaluation(GENOME, 1))
        assert history.elapsed() == 9


def test_replicates_are_separate(path):
    with open_at(path) as history:
        history.append(toy_evaluation(GENOME, 0))
        assert history.find(GENOME, 1) is None
        history.append(toy_evaluation(GENOME, 1))
        assert history.find(GENOME, 1).replicate == 1


def test_a_failed_one_is_finished_after_the_second_attempt(path):
    with open_at(path) as history:
        history.append(failed())
        assert (history.attempts(GENOME, 0), history.find(GENOME, 0)) == (1, None)
        history.append(failed())
        assert (history.attempts(GENOME, 0), history.find(GENOME, 0).status) == (2, "failed")


def test_a_finished_one_cannot_be_stored_again(path):
    with open_at(path) as history:
        history.append(toy_evaluation(GENOME))
        with pytest.raises(AssertionError, match="repeated"):
            history.append(toy_evaluation(GENOME))


@pytest.mark.parametrize("statement", ["UPDATE evaluations SET status = 'ok'", "DELETE FROM evaluations"])
def test_nothing_stored_can_be_changed(path, statement):
    with open_at(path) as history:
        history.append(toy_evaluation(GENOME))
    database = sqlite3.connect(path)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        database.execute(statement)
    database.close()


def test_record_and_state_enter_together_or_not_at_all(path):
    with open_at(path) as history:
        history.commit({"generation": 0}, {"n": 0})
        with pytest.raises(ValueError, match="Out of range"):
            history.commit({"generation": 1}, {"n": float("nan")})
        assert (history.last_generation(), history.state()) == (0, {"n": 0})


def test_another_fingerprint_is_refused_with_the_difference(path):
    open_at(path).close()
    before = path.read_bytes()
    other = {**FINGERPRINT, "budget": {"macs": 900, "tolerance": 0.01}, "recipe": {"iterations": 100}}
    with pytest.raises(StrategyError) as error:
        open_at(path, fingerprint=other)
    assert "budget.macs was 800, now 900, recipe.iterations was absent, now 100" in str(error.value)
    assert "\n" not in str(error.value)
    assert path.read_bytes() == before


def test_the_same_fingerprint_in_another_order_is_accepted(path):
    open_at(path, fingerprint={"a": 1, "b": (1, 2)}).close()
    with open_at(path, fingerprint={"b": [1, 2], "a": 1}) as history:
        assert history.fingerprint == {"a": 1, "b": [1, 2]}


def test_many_differences_are_counted():
    assert describe_difference(dict.fromkeys("abcde", 1), dict.fromkeys("abcde", 2)).endswith("and 2 more")


def test_a_second_writer_in_this_process_is_refused(path):
    with open_at(path), pytest.raises(StrategyError, match="open already"):
        open_at(path)
    open_at(path).close()


def test_a_second_writer_in_another_process_is_refused_until_the_first_closes(path):
    attempt = "try:\n    open_at(path).close(); print('open')\nexcept StrategyError as error:\n    print(error)"
    with open_at(path):
        refusal = in_another_process(attempt, path)
        assert f"process {os.getpid()} on" in refusal
        assert "One search at a time" in refusal
    assert in_another_process(attempt, path) == "open"


def test_a_history_on_a_file_system_without_locks_is_told_in_one_line(path, monkeypatch):
    def none_left(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", none_left)
    with pytest.raises(StrategyError, match=r"needs to lock .*: No locks available"):
        History(path, fingerprint={})


def test_a_killed_writer_leaves_no_lock_even_with_a_child_alive(path):
    killed = (
        "import os, signal, time\n"
        "history = open_at(path)\n"
        "if os.fork() == 0:\n"
        "    os.close(1); os.close(2); time.sleep(3); os._exit(0)\n"
        "history.append(toy_evaluation(GENOME)); print('stored', flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    with pytest.raises(AssertionError):
        in_another_process(killed, path)  # its exit status is the signal
    with open_at(path) as history:
        assert len(history.evaluations()) == 1


def test_reading_works_while_another_process_writes(path):
    with open_at(path) as history:
        history.append(toy_evaluation(GENOME))
        count = "with History.read(path) as view: print(len(view.evaluations()), view.fingerprint['space'])"
        assert in_another_process(count, path) == "1 toy"


def test_a_reader_cannot_write(path):
    open_at(path).close()
    with History.read(path) as view:
        assert not hasattr(view, "append")
        with pytest.raises(StrategyError, match="cannot be written"):
            view._rows("DELETE FROM search")


def test_reading_what_is_not_there_says_so(path):
    with pytest.raises(StrategyError, match="no search history"):
        History.read(path)
    assert not path.exists()


@pytest.mark.parametrize("content", [b"hello", b"x" * 5000, b"SQLite format 3\0" + b"\xff" * 3000])
@pytest.mark.parametrize("opener", [open_at, History.read])
def test_a_file_that_is_no_history_is_left_alone(path, content, opener):
    path.write_bytes(content)
    with pytest.raises(StrategyError, match="left as it is"):
        opener(path)
    assert path.read_bytes() == content


def test_another_programs_database_is_left_alone(path):
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE photos (id)")
    database.close()
    before = path.read_bytes()
    with pytest.raises(StrategyError, match="not a search history"):
        open_at(path)
    assert path.read_bytes() == before


def test_a_history_of_a_later_format_is_refused(path):
    open_at(path).close()
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 9")
    database.close()
    with pytest.raises(StrategyError, match="format 9"):
        open_at(path)


def test_an_empty_file_left_by_a_kill_at_birth_is_used(path):
    path.touch()
    with open_at(path) as history:
        assert history.evaluations() == []


def test_a_folder_that_cannot_hold_it_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    for wrong in (tmp_path / "file" / "history.sqlite", tmp_path / "absent" / "history.sqlite"):
        with pytest.raises(StrategyError, match="needs a folder to write in"):
            open_at(wrong)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_folder_is_one_clear_error(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StrategyError, match="needs a folder to write in"):
        open_at(tmp_path / "history.sqlite")
    tmp_path.chmod(0o700)


@pytest.mark.parametrize(("kind", "mode"), [("ext4", "wal"), ("nfs4", "delete"), ("fuse.sshfs", "delete")])
def test_the_journal_is_chosen_by_the_file_system(path, monkeypatch, tmp_path, kind, mode):
    mounts = tmp_path / "mounts"
    mounts.write_text(f"dev / overlay rw 0 0\nserver:/x {path.parent} {kind} rw 0 0\n")
    monkeypatch.setattr("evolution.history._MOUNTS", mounts)
    with open_at(path, journal="auto") as opened:
        assert opened._rows("PRAGMA journal_mode")[0][0] == mode


def test_where_the_system_does_not_say_the_file_system_is_a_local_one(path, monkeypatch):
    monkeypatch.setattr("evolution.history._MOUNTS", path / "nowhere")
    assert file_system(path.parent) == ""


def test_an_unknown_journal_is_refused(path):
    with pytest.raises(StrategyError, match="wal, rollback"):
        open_at(path, journal="memory")


@pytest.mark.parametrize("journal", ["wal", "rollback"])
def test_a_full_disk_is_one_clear_error_and_loses_nothing(path, journal):
    """A file-size limit stands in for the full disk."""
    fill = (
        "try:\n"
        f"    with open_at(path, journal={journal!r}) as history:\n"
        "        for i in range(100_000):\n"
        "            history.append(Evaluation(genome=(i, 0), score=(0.5,))); print(i)\n"
        "except StrategyError as error:\n"
        "    print(error)"
    )
    limit = 150_000 if journal == "wal" else 75_000
    *stored, message = in_another_process(
        fill, path, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    ).splitlines()
    assert "what is stored stays" in message
    with open_at(path, journal=journal) as history:
        assert [evaluation.genome[0] for evaluation in history.evaluations()] == [int(i) for i in stored]
        assert len(stored) > 10
        history.append(toy_evaluation(GENOME))


def test_a_database_at_its_page_limit_keeps_record_and_state_together(path):
    """SQLite's own `full`, in the middle of a commit."""
    with open_at(path) as history:
        history.commit({"generation": 0}, {"n": 0})
        history._database.execute("PRAGMA max_page_count = 12")
        with pytest.raises(StrategyError, match="disk is full"):
            history.commit({"generation": 1}, {"n": "x" * 100_000})
        assert (history.last_generation(), history.state()) == (0, {"n": 0})
