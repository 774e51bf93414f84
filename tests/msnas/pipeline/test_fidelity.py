"""From `fidelity=halving` to the recipes of its rungs."""

import pytest

from msnas.config.compose import compose
from msnas.errors import ConfigError
from msnas.pipeline.candidates import rungs_of


def rungs(*words):
    return rungs_of(compose(["fidelity=halving", *words]))


def test_halving_is_off_unless_asked_for():
    assert rungs_of(compose()) == ()


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
