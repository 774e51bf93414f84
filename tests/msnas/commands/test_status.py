"""What a run says of itself, at every point of its life; `now` is a fixed time, and no stage is really run."""

import fcntl
import json
import time

import pytest

from msnas.cli import main
from msnas.files import write_json
from msnas.runs.state import state_lines
from msnas.setup.open_run import open_new, state_of

NOW = 1_800_000_000.0


@pytest.fixture
def run(tmp_path):
    return open_new([f"runs_root={tmp_path / 'runs'}", "run=a", "top_k=2", "retrain.point=false"])


@pytest.fixture
def held(run):
    """The run while a process works on it. (A lock is of the open file: this process's other handles see it.)"""
    with run.locked():
        yield run


def report(folder, *, began=NOW - 100, **changes):
    """The file that a stage's progress leaves."""
    status = {"stage": "supernet", "done": 30, "total": 100, "rate": 0.5, "pid": 1, "began": began}
    write_json(folder / "status.json", {**status, "updated": NOW - 2, "left": 140.0, **changes})


def stages(run):
    return {stage["stage"]: stage for stage in state_of(run.folder, NOW)["stages"]}


def test_a_run_that_has_not_begun_waits(run):
    assert [stage["state"] for stage in stages(run).values()] == ["waiting"] * 3


def test_a_held_run_is_running_and_says_when_it_ends(held):
    report(held.stage("supernet"))
    stage = stages(held)["supernet"]
    assert (stage["state"], stage["done"], stage["ends"]) == ("running", 30, NOW + 138)


def test_a_run_whose_process_is_gone_is_stopped_and_names_the_command_that_goes_on(run):
    report(run.stage("supernet"))
    state = state_of(run.folder, NOW)
    assert stages(run)["supernet"]["state"] == "stopped"
    assert state["next"] == f"msnas train run=a runs_root={run.folder.parent}"


def test_a_stopped_demo_goes_on_as_a_whole(run):
    report(run.stage("supernet"))
    command = {"command": "msnas demo run=a", "began": "2026-01-01T00:00:00+0000"}
    write_json(run.folder / "environment.json", {"commands": [command]})
    assert state_of(run.folder, NOW)["next"].startswith("msnas demo run=a")


def test_a_complete_stage_is_followed_by_the_next_one(run):
    write_json(run.stage("supernet") / "done.json", {"steps": 100, "seconds": 60.0})
    assert state_of(run.folder, NOW)["next"].startswith("msnas search run=a")


def test_after_the_last_stage_the_report_is_next_and_then_the_model(run):
    for name in ("supernet", "search", "retrain"):
        write_json(run.stage(name) / "done.json", {"seconds": 60.0})
    before = state_of(run.folder)["next"]
    (run.folder / "report.html").touch()
    assert before.startswith("msnas report")
    assert state_of(run.folder)["next"].startswith("msnas export")


def test_a_status_of_before_the_stage_was_given_again_is_not_shown(held):
    report(held.stage("supernet"))
    began = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(NOW - 1))
    write_json(held.folder / "environment.json", {"commands": [{"command": "msnas train", "began": began}]})
    shown = {"stage": "supernet", "trains": "supernet", "state": "running", "began": NOW - 1}
    assert stages(held)["supernet"] == shown


def test_retraining_ends_when_its_last_network_does(held):
    for name in ("supernet", "search"):
        write_json(held.stage(name) / "done.json", {"seconds": 60.0})
    write_json(held.stage("retrain") / "plan.json", {"networks": 3})
    for name in ("01-a", "02-b"):
        (held.stage("retrain") / name).mkdir()
    write_json(held.folder / "retrain" / "01-a" / "result.json", {"seconds": 200.0})
    report(held.folder / "retrain" / "02-b", stage="winner 2")
    stage = stages(held)["retrain"]
    assert (stage["networks_done"], stage["networks"], stage["ends"]) == (1, 3, NOW + 138 + 200)


def test_networks_that_are_trained_side_by_side_end_two_at_a_time(held):
    for name in ("supernet", "search"):
        write_json(held.stage(name) / "done.json", {"seconds": 60.0})
    write_json(held.stage("retrain") / "plan.json", {"networks": 5, "side_by_side": 2})
    for name in ("01-a", "02-b"):
        (held.stage("retrain") / name).mkdir()
    write_json(held.folder / "retrain" / "01-a" / "result.json", {"seconds": 200.0})
    report(held.folder / "retrain" / "02-b", stage="winner 2")
    assert stages(held)["retrain"]["ends"] == NOW + 138 + 200  # two run, and two more are trained after them


def test_a_run_that_says_nothing_for_long_is_told_apart(held):
    report(held.stage("supernet"), updated=NOW - 3600)
    assert "last sign of life 60 min ago" in "\n".join(state_lines(state_of(held.folder, NOW), NOW))


def test_asking_for_the_status_leaves_the_lock_alone(run):
    run.stage("supernet")
    with run.locked():
        pass
    state_of(run.folder)
    with open(run.folder / ".lock") as handle:
        assert fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB) is None  # it raises where another holds the lock


def test_the_command_prints_the_state_as_json(run, capsys):
    assert main(["status", "a", f"runs_root={run.folder.parent}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["run"] == "a"


def test_an_unknown_run_is_one_line_that_names_the_known_ones(run, capsys):
    assert main(["status", "b", f"runs_root={run.folder.parent}"]) == 2
    assert "there are: a" in capsys.readouterr().err


def test_without_arguments_the_newest_run_says_what_is_next(run, capsys, monkeypatch):
    monkeypatch.chdir(run.folder.parent.parent)
    assert main([]) == 0
    assert "Next: msnas train run=a\n" in capsys.readouterr().out


def test_without_arguments_and_without_a_run_it_is_said_how_to_begin(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([]) == 0
    assert "msnas demo" in capsys.readouterr().out.splitlines()[-1]


def test_a_search_for_a_front_is_followed_by_the_fronts_training_and_its_export(run):
    for name in ("supernet", "search"):
        write_json(run.stage(name) / "done.json", {"seconds": 60.0})
    write_json(run.folder / "search" / "result.json", {"front": [{}, {}, {}]})
    nexts = [state_of(run.folder)["next"]]
    write_json(run.stage("front") / "done.json", {"seconds": 60.0})
    nexts.append(state_of(run.folder)["next"])
    (run.folder / "report.html").touch()
    nexts.append(state_of(run.folder)["next"])
    assert [words.split(" run=")[0] for words in nexts] == ["msnas retrain front", "msnas report", "msnas export front"]


def test_winners_that_are_retrained_need_no_front(run):
    for name in ("supernet", "search", "retrain"):
        write_json(run.stage(name) / "done.json", {"seconds": 60.0})
    write_json(run.folder / "search" / "result.json", {"front": [{}, {}, {}]})
    assert [*stages(run)] == ["supernet", "search", "retrain"]
