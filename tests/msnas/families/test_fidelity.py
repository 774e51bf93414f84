"""From `fidelity=halving` to the recipes of its rungs."""

from pathlib import Path

import pytest

from msnas.config.compose import compose
from msnas.errors import ConfigError
from msnas.families.search_processes import rungs_of
from msnas.setup.setup import Setup

WEIGHTS = Path(__file__)  # any file: what is in it does not matter here


def rungs(*words, fidelity="halving"):
    setup = Setup(compose([f"fidelity={fidelity}", "input=128x128", "data.root=D", *words]))
    return rungs_of(setup.family, setup.search(weights=WEIGHTS, folder=WEIGHTS.parent))


def test_halving_is_off_unless_asked_for():
    assert rungs(fidelity="full") == ()


def test_statistics_alone_then_25_then_100_iterations():
    assert [(one.name, one.iterations) for one in rungs()] == [("bn", 0), ("finetune", 25), ("finetune", 100)]


def test_rungs_follow_the_scale():
    assert [one.iterations for one in rungs("scale=tiny", "candidate.rungs=[0.5,1]")] == [5, 10]


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (["candidate.rungs=[1,0.5]"], "growing shares"),
        (["candidate.rungs=[0,0.5]"], "growing shares"),
        (["candidate.rungs=[1]"], "growing shares"),
        (["candidate.recipe=bn"], "finetuned"),
        (["fidelity=half"], "full or halving"),
    ],
)
def test_what_cannot_be_halved_is_refused(words, rule):
    with pytest.raises(ConfigError, match=rule):
        rungs(*words)
