"""The dispatcher: what a user types is answered, and an error is one line with exit code 2."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from msnas.cli import main, parse
from msnas.commands.command_list import COMMANDS
from msnas.errors import ConfigError

ROOT = Path(__file__).parents[3]


def test_without_arguments_the_stages_are_shown(capsys):
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert all(stage in shown for stage in COMMANDS)


@pytest.mark.parametrize("stage", COMMANDS)
def test_every_stage_has_help_with_its_options(stage, capsys):
    assert main([stage, "--help"]) == 0
    assert COMMANDS[stage].summary in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["serch"], "Did you mean 'search'"),
        (["search", "--fast"], "There is no flag '--fast'"),
        (["search", "fast"], "key=value options only"),
        (["search", "+seed=1"], "new ones come from a yaml file"),
        (["search", "~seed"], "null is a value"),
        (["search", "hydra.run.dir=out"], "runs_root=FOLDER run=NAME say where a run lies"),
        (["search", "-m", "hydra/sweeper=optuna"], "a sweep tries every combination of its words"),
        (["search", "hydra.verbose=true"], "others do nothing here"),
        (["check", "~nouser/x"], "A path must begin with a home folder that exists, but got '~nouser/x'; ./~nouser/x"),
        (["check", "data.root=~nouser/x"], "data.root must begin with a home folder that exists"),
        (["convert", "d", "out=~nouser/x"], "out must begin with a home folder that exists"),
        (["search", "--config-dir", "~nouser"], "--config-dir must begin with a home folder that exists"),
        (["search", "@~nouser/x"], "A path must begin with a home folder that exists"),
        (["search", "--cfg", "all"], "--cfg takes job, but got all"),
        (["export", "conf=0.5"], "There is no option 'conf'. It is called 'score'."),
        (["cost", "1,2|4", "space=msnas_r81"], "msnas_r18"),
    ],
)
def test_a_wrong_command_is_one_line_and_exit_code_2(words, message, capsys):
    assert main(words) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1


def test_a_file_where_a_folder_should_be_is_one_line_and_exit_code_2(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["train", "data=shapes", "scale=tiny", "run=a", f"runs_root={tmp_path}/file"]) == 2
    printed = capsys.readouterr().err
    assert "file/a: Not a directory." in printed
    assert printed.count("\n") == 1


def test_check_refuses_a_folder_that_is_none(tmp_path, capsys):
    assert main(["check", str(tmp_path / "nowhere")]) == 2
    assert capsys.readouterr().err == f"msnas: D must be a folder in COCO format, but {tmp_path}/nowhere is none.\n"


def test_data_that_training_refuses_is_one_line_and_exit_code_1(tmp_path, capsys):
    (tmp_path / "train.json").write_text("[]")
    words = [f"data.root={tmp_path}", "scale=tiny", "run=a", f"runs_root={tmp_path}/runs", "hardware.device=cpu"]
    assert main(["train", *words]) == 1
    printed = capsys.readouterr().err
    assert "the file must be one object with images" in printed
    assert printed.count("\n") == 1


def test_ctrl_c_says_how_to_go_on(monkeypatch, capsys):
    def interrupted(words):
        raise KeyboardInterrupt

    monkeypatch.setattr("msnas.cli._dispatch", interrupted)
    assert main(["search", "run=a b"]) == 130
    assert capsys.readouterr().err == "msnas: Interrupted. Go on with: msnas search 'run=a b'\n"


def test_words_flags_and_positionals_may_come_in_any_order():
    call = parse("cost", ["--json", "1,2|8", "space=msnas_r18", "1,1|4"])
    assert (call.positionals, call.words, call.json) == (("1,2|8", "1,1|4"), ("space=msnas_r18",), True)


def test_a_stage_without_positionals_refuses_them():
    with pytest.raises(ConfigError, match="key=value options only"):
        parse("train", ["now"])


def test_the_version_is_printed(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("msnas ")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_file_of_options_may_begin_with_a_byte_order_mark(encoding, tmp_path, capsys):
    (tmp_path / "options").write_text("space=msnas_7\n", encoding=encoding)
    assert main(["cost", f"@{tmp_path}/options", "--info", "defaults"]) == 0
    assert "space: msnas_7" in capsys.readouterr().out


def test_a_file_of_options_may_have_blanks_and_comments(tmp_path, capsys):
    (tmp_path / "options").write_text("# mine\n  space = msnas_7   # seven blocks\nseed=5 \n\nrun=a#b\n")
    assert main(["cost", f"@{tmp_path}/options", "--cfg", "job"]) == 0
    shown = capsys.readouterr().out
    assert "depth: 7\n" in shown
    assert "seed: 5\n" in shown
    assert "run: a#b\n" in shown


def test_a_file_of_options_in_an_old_encoding_is_told_with_its_line(tmp_path, capsys):
    (tmp_path / "options").write_bytes(b"seed=1\nrun=gr\xf6\xdfe\n")
    assert main(["cost", f"@{tmp_path}/options"]) == 2
    assert "must be a text in UTF-8, but line 2 has another encoding; save it so." in capsys.readouterr().err


def test_cfg_job_prints_the_composed_configuration(capsys):
    assert main(["train", "--cfg", "job", "seed=7"]) == 0
    assert capsys.readouterr().out.startswith("seed: 7\n")


def test_the_home_folder_is_written_out_in_every_word_but_the_data_s(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    call = parse("eval", ["~/model", "out=~/found.json", "data.root=~/d", "run=~x", "zoo=~/a,~/b"])
    assert call.positionals == (str(tmp_path / "model"),)
    assert call.words == (f"out={tmp_path / 'found.json'}", "data.root=~/d", "run=~x", f"zoo={tmp_path}/a,{tmp_path}/b")


def test_a_file_of_words_may_lie_in_the_home_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "mine.msnas").write_text("seed=7\n")
    assert main(["train", "--cfg", "job", "@~/mine.msnas"]) == 0
    assert capsys.readouterr().out.startswith("seed: 7\n")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_text_that_a_terminal_cannot_show_is_no_traceback(encoding, monkeypatch):
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(shown, encoding=encoding, write_through=True))
    assert main(["cost", "海=1"]) == 2
    assert b"\\u6d77" in shown.getvalue()


TERMINATED = """
import os, sys, signal, threading, time
sys.path.insert(0, {engine!r})
from functools import partial
from pathlib import Path
import light_evaluator
from evolution.driver import Job
from msnas import cli
from msnas.engine.workers import evaluating

def search(words):
    with evaluating(partial(light_evaluator.build_slow, Path({out!r})), workers=2) as many:
        list(many([Job((1,), 0), Job((2,), 0)]))

def terminate():
    while len(os.listdir({out!r})) < 2:
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGTERM)

if __name__ == "__main__":
    cli._dispatch = search
    threading.Thread(target=terminate, daemon=True).start()
    sys.exit(cli.main(["search"]))
"""


def test_sigterm_ends_a_search_with_workers_as_ctrl_c_does(tmp_path):
    (tmp_path / "out").mkdir()
    script = tmp_path / "search.py"
    script.write_text(TERMINATED.format(engine=str(ROOT / "tests/msnas/engine"), out=str(tmp_path / "out")))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, env=environment, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (130, "msnas: Interrupted. Go on with: msnas search\n")
    assert not any(Path(f"/proc/{pid}").exists() for pid in os.listdir(tmp_path / "out"))
