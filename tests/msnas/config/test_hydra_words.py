"""What hydra's users type: sweeps, a folder of their own yaml files, classes of their own."""

import errno
import sys

import pytest

from msnas.call import Call
from msnas.cli import main
from msnas.commands.sweep import numbered, sweep
from msnas.config.compose import PLUGINS, build, compose
from msnas.config.hydra_words import combinations
from msnas.errors import ConfigError
from msnas.runs.launchers import in_submitits_words, launcher_of

STRATEGY = """
from evolution.random_search import RandomSearch

class Lucky(RandomSearch):
    pass
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A user's folder: a space, an experiment, and a strategy whose class is the user's."""
    (tmp_path / "space").mkdir()
    (tmp_path / "space/mine.yaml").write_text(
        "# @package _global_\ndefaults: [msnas_7, _self_]\nspace_name: mine\nspace:\n  depth: 8\n"
    )
    (tmp_path / "strategy").mkdir()
    (tmp_path / "strategy/lucky.yaml").write_text(
        "# Mine.\n_target_: lucky_search.Lucky\npopulation_size: 2\nchildren: 2\niterations: 1\n"
    )
    (tmp_path / "lucky_search.py").write_text(STRATEGY)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv(PLUGINS, "")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["seed=0,1", "top_k=2"], [["seed=0", "top_k=2"], ["seed=1", "top_k=2"]]),
        (["seed=range(0,2)"], [["seed=0"], ["seed=1"]]),
        (["space=choice(msnas_7,msnas_r18)"], [["space=msnas_7"], ["space=msnas_r18"]]),
        (["space=glob(msnas_r*)"], [["space=msnas_r18"], ["space=msnas_r34"], ["space=msnas_r50"]]),
        (["space.heads=[4,8],[8,16]"], [["space.heads=[4,8]"], ["space.heads=[8,16]"]]),
        (["seed=0,1", "top_k=1,2"], [[f"seed={s}", f"top_k={k}"] for s in (0, 1) for k in (1, 2)]),
    ],
)
def test_a_sweep_has_hydras_combinations_in_hydras_order(words, expected):
    assert combinations(words) == expected


def test_an_interval_has_no_values_to_try():
    with pytest.raises(ConfigError, match="hydra's grammar"):
        combinations(["schedule.lr=interval(0,1)"])


def test_a_sweep_ends_with_a_table_and_the_worst_exit_code(capsys):
    assert main(["space", "-m", "space=msnas_7", "input=128x128", "budget.macs=none,1"]) == 2
    printed = capsys.readouterr()
    assert printed.err.count("---") == 2
    assert [line.split()[:2] for line in printed.out.splitlines() if line[:1] in "12"] == [
        ["1", "budget.macs=none"],
        ["2", "budget.macs=1"],
    ]


def test_a_job_that_the_disk_fails_stops_no_other(monkeypatch, capsys):
    asked = []

    def command(call):
        asked.append(call.words)
        if len(asked) == 1:
            raise PermissionError(errno.EACCES, "Permission denied", "/elsewhere/x")
        return 0

    assert sweep(Call("space", (), ("seed=1,2",)), command, launcher_of(())) == 2
    assert len(asked) == 2
    assert "cannot read or write at /elsewhere/x: Permission denied" in " ".join(capsys.readouterr().out.split())


def test_a_wrong_word_of_a_sweep_ends_it_before_the_first_job(capsys):
    assert main(["space", "--multirun", "space=msnas_7,msnas_8"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_a_launcher_runs_the_jobs_elsewhere_and_keeps_what_they_say(launcher, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["space=msnas_7", "input=128x128", "budget.macs=baseline,1", "baseline.channels=8", "run=r"]
    assert main(["space", "-m", *words, f"hydra/launcher={launcher}"]) == 2
    printed = capsys.readouterr().out
    assert "r-1" in printed
    assert "done" in printed
    assert "No architecture has macs in" in " ".join(printed.split())
    said = sorted(log.read_text()[:8] for log in tmp_path.glob("multirun/*/*/?.log"))
    assert said == ["encoders", "msnas: N"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["seed=0,1", "hydra/launcher=joblib"], "add --multirun"),
        (["-m", "seed=0,1", "run=r", "hydra/launcher=slurm"], "submitit_slurm"),
        (["-m", "space=glob(zzz*)"], "no choice of space matches 'space=glob(zzz*)'"),
        (["-m", "seed=0,1", "hydra/launcher=joblib"], "without run="),
        (["-m", "seed=0,1", "run=r", "hydra.launcher.n_jobs=2"], "give hydra/launcher=NAME"),
        (["-m", "seed=0,1", "run=r", "hydra/launcher=joblib", "hydra.launcher.njobs=2"], "does not take"),
        (["-m", "seed=0,1", "run=r", "hydra/launcher=submitit_local", "hydra.launcher.hours=2"], "does not take"),
        (["-m", "seed=0", "hydra/launcher=submitit_local", "hydra.launcher.timeout_min=long"], "does not take"),
    ],
)
def test_a_launcher_that_cannot_be_is_one_line(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["space", "space=msnas_7", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_slurm_that_is_not_there_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["space", "-m", "seed=0", "hydra/launcher=submitit_slurm", "hydra.launcher.partition=gpu"]) == 2
    error = capsys.readouterr().err
    assert "does not take" in error
    assert error.count("\n") == 1


def test_options_of_slurm_alone_get_its_name_before_them():
    given = {"timeout_min": 5, "partition": "gpu", "slurm_qos": "high"}
    assert in_submitits_words(given, "slurm") == {"timeout_min": 5, "slurm_partition": "gpu", "slurm_qos": "high"}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a", "a"], ["a-1", "a-2"]),
        (["a", "b"], ["a", "b"]),
        (["a", "b", "a"], ["a-1", "b", "a-3"]),
    ],
)
def test_a_name_that_jobs_share_gets_the_jobs_number(names, expected):
    assert numbered([[f"run={name}"] for name in names]) == [[f"run={name}"] for name in expected]


def test_a_space_of_the_users_own_folder_is_a_choice(own):
    assert compose([f"config_dir={own}", "space=mine"]).space.depth == 8


def test_a_name_that_the_library_has_is_refused(own):
    (own / "space/msnas_7.yaml").write_text("")
    with pytest.raises(ConfigError, match="another name"):
        compose([f"config_dir={own}"])


def test_a_file_of_ones_own_that_names_nothing_to_change_is_told_how_to(tmp_path, capsys):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.yaml").write_text("name: mine\n")
    assert main(["space", "--config-dir", str(tmp_path), "data=mine"]) == 2
    assert (
        "does the file of data=mine say what it changes, as in `defaults: [coco, _self_]`?" in capsys.readouterr().err
    )


def test_config_dir_that_is_no_folder_is_one_line(capsys):
    assert main(["space", "--config-dir", "/nowhere"]) == 2
    assert "/nowhere is none" in capsys.readouterr().err


def test_a_class_of_a_package_in_plugins_is_built(own):
    words = ["cost", "--config-dir", str(own), "strategy=lucky", "plugins=lucky_search", "--cfg", "job"]
    assert main(words) == 0
    node = compose([f"config_dir={own}", "strategy=lucky"]).strategy
    assert type(build(node, space=None, seed=0)).__name__ == "Lucky"


def test_a_class_of_a_package_that_the_command_line_does_not_name_is_refused(own):
    node = compose([f"config_dir={own}", "strategy=lucky", "plugins=[lucky_search]"]).strategy
    with pytest.raises(ConfigError, match=r"package of plugins="):
        build(node, space=None, seed=0)
