"""The share of a supernet's steps that each of its branches got."""

from msnas.config.compose import compose
from msnas.pipeline.branch_updates import branch_updates, updates_sentence
from msnas.pipeline.supernet_training import paths
from msnas.setup.setup import Setup
from supernet.strides.architecture import Architecture

STRAIGHT, DOWN = (Architecture.parse(f"{strides}|8,8,8,8,8") for strides in ("1,1", "1,2"))


def test_every_step_counts_for_the_branches_of_its_path():
    family = Setup(compose(["space=msnas_7"])).family
    told = branch_updates(family, lambda step: DOWN if step == 0 else STRAIGHT, 4)
    assert told == {
        "steps": 4,
        "branches": {"block 01, stride 1": 4, "block 02, stride 1": 3, "block 02, stride 2": 1},
    }
    assert updates_sentence(told) == (
        "Of the supernet's 4 steps a branch was part of 75% in the median; the rarest, block 02, stride 2, of 25%, "
        "the most frequent, block 01, stride 1, of 100%."
    )


def test_no_branch_of_the_shipped_space_is_left_out_of_a_short_training():
    setup = Setup(compose(["space=msnas_7", "scale=tiny", "input=128x192"]))
    branches = branch_updates(setup.family, paths(setup), 600)["branches"]
    assert sum(branches.values()) == 600 * 7
    assert len(branches) == 20  # of the first block, one stride less: nothing lies above the stem's
    assert min(branches.values()) > 10


def test_a_supernet_that_kept_no_counts_says_nothing():
    assert updates_sentence(None) == updates_sentence({"steps": 3, "branches": {}}) == ""
