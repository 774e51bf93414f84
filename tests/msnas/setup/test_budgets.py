"""From `budget.*` words to a budget."""

import pytest

from msnas.config.compose import compose
from msnas.errors import ConfigError
from msnas.setup.setup import Setup


def budget(*words):
    return Setup(compose(["input=128x128", "scale=tiny", "budget=none", *words])).budget


def test_no_number_is_no_budget():
    assert budget() is None


def test_several_budgets_hold_together_the_macs_first():
    both = budget("budget.params=500e3", "budget.macs=80e6")
    assert str(both) == "macs in 79,200,000..80,800,000 and params in 495,000..505,000"


@pytest.mark.parametrize("word", ["budget.params=<=500e3", "budget.params=<= 500000"])
def test_a_ceiling_is_written_with_its_sign(word):
    assert str(budget(word)) == "params in 0..500,000"


def test_the_baseline_can_be_a_ceiling():
    assert budget("budget.macs=<=baseline").high == round(budget("budget.macs=baseline").target)


def test_a_word_that_is_no_budget_is_named():
    with pytest.raises(ConfigError, match="'much'"):
        budget("budget.macs=much")


def test_space_counts_what_keeps_both():
    words = ["input=128x128", "scale=tiny", "budget=none", "budget.macs=<=80e6"]
    one = Setup(compose(words)).bounded_space.count()
    assert 0 < Setup(compose([*words, "budget.params=<=350e3"])).bounded_space.count() < one
