"""Completion scripts: bash's is asked as a shell asks it; the others name every stage and option."""

import contextlib
import io
import subprocess

import pytest

from msnas.cli import main
from msnas.commands.command_list import COMMANDS
from msnas.commands.completion import option_words
from msnas.config.compose import compose, groups
from msnas.differences import flatten


@pytest.fixture(scope="module")
def bash(tmp_path_factory):
    script = tmp_path_factory.mktemp("bash") / "msnas.bash"
    script.write_text(printed("bash"))

    def completions(line):
        code = f"source {script}; COMP_LINE={line!r}; COMP_POINT=${{#COMP_LINE}}; _msnas; "
        code += 'printf "%s\\n" "${COMPREPLY[@]}"'
        return subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True).stdout.split("\n")[:-1]

    return completions


def printed(shell):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main(["completion", shell]) == 0
    return out.getvalue()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("msnas sea", ["search "]),
        ("msnas search strategy.n_", ["strategy.n_random="]),
        ("msnas train run=a scale=tiny_", ["tiny_fine "]),
        ("msnas train --js", ["--json "]),
        ("msnas export nothing_like_this", [""]),
    ],
)
def test_bash_completes(bash, line, expected):
    assert bash(line) == expected


def test_bash_offers_every_stage(bash):
    assert bash("msnas ") == list(COMMANDS)


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_script_names_every_stage_and_option(shell):
    script = printed(shell)
    leaves = flatten(compose())
    words = {word for stage in COMMANDS.values() for word in option_words(stage.options, leaves, groups())}
    assert len(words) > 100
    assert [word for word in [*COMMANDS, *words] if word not in script] == []


def test_an_unknown_shell_is_one_line(capsys):
    assert main(["completion", "tcsh"]) == 2
    assert "bash, zsh, fish" in capsys.readouterr().err
