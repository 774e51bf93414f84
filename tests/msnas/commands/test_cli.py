"""The dispatcher: what a user types is answered, and an error is one line with exit code 2."""

import pytest

from msnas.cli import main, parse
from msnas.commands.table import COMMANDS
from msnas.errors import ConfigError


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
