"""`msnas STAGE --help`: every option with its value and its meaning, on lines of at most 120 columns."""

import pytest

from msnas.commands.help import WIDTH, stage_help
from msnas.commands.table import COMMANDS


def lines(stage, *words):
    return stage_help(stage, COMMANDS[stage], words).split("\n")


@pytest.mark.parametrize("stage", COMMANDS)
def test_no_line_is_wider_than_a_terminal(stage):
    assert max(map(len, lines(stage))) <= WIDTH


def test_an_option_stands_before_its_meaning():
    [line] = [line for line in lines("train") if "schedule.batch=" in line]
    assert line.split(maxsplit=1) == ["schedule.batch=32", "images a step"]


def test_a_choice_stands_before_the_head_of_its_file():
    [line] = [line for line in lines("train") if line.split()[:1] == ["msnas_r18"]]
    assert line.endswith("MSNAS-R18: 13 mixed basic blocks of 180 channels.")


def test_options_given_beside_help_choose_what_is_shown():
    shown = "\n".join(lines("search", "strategy=nsga2"))
    assert "strategy.minimise=[macs]" in shown
    assert "strategy.n_random" not in shown
