"""`msnas STAGE --help`: every option with its value and its meaning, on lines of at most 120 columns."""

import pytest

from msnas.commands.command_list import COMMANDS
from msnas.commands.help import WIDTH, options_of, stage_help
from msnas.config.compose import compose, groups
from msnas.differences import flatten
from msnas.setup.setup import Setup

# What a space and a scale say of themselves, and what they say for others to read: nobody types these.
NO_OPTIONS = ("family", "space_name", "scale_name", "sizes", "two_stage", "finetuning")


def lines(stage, *words):
    return stage_help(stage, words).split("\n")


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


@pytest.mark.parametrize("space", groups()["space"])
def test_every_option_of_a_space_is_shown_by_a_stage_that_the_space_has(space):
    config = compose([f"space={space}"])
    setup = Setup(config)
    stages = [name for name in COMMANDS if name != "train" or setup.family_class.pretraining is not None]
    shown = {option for stage in stages for option in options_of(stage, setup.family_class)}
    keys = [key for key in flatten(config) if "._" not in key and key.split(".")[0] not in NO_OPTIONS]
    assert [key for key in keys if key not in shown and key.split(".")[0] not in shown] == []


@pytest.mark.parametrize(
    ("stage", "space", "option"),
    [
        ("train", "nas_fcos_fpn", "backbone.caffe=true"),
        ("search", "nas_fcos_fpn", "candidate.polyak=0.9"),
        ("search", "nas_fcos_fpn", "cache.views=1"),
        ("retrain", "nas_fcos_fpn", "network.out_channels=null"),
        ("search", "nas_fpn", "candidate.batch=64"),
        ("search", "nas_fpn", "space.num_cells=7"),
        ("train", "msnas_timm", "backbone.train=frozen"),
    ],
)
def test_a_stage_shows_the_options_of_its_own_that_the_family_has(stage, space, option):
    assert option in [line.split()[0] for line in lines(stage, f"space={space}") if line]
