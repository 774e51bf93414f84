"""From `budget.*` words to a budget."""

import pytest

from msnas.config.compose import compose
from msnas.errors import ConfigError
from msnas.setup.setup import Setup
from supernet.errors import BudgetError


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


SPACES = ["msnas_r18", "msnas_timm", "nas_fpn", "nas_fcos_fpn"]


@pytest.mark.parametrize("space", SPACES)
def test_an_empty_budget_that_nobody_gave_is_the_baselines_and_says_what_to_do(space):
    words = [f"space={space}", "budget.macs=baseline", "budget.tolerance=0", "input=128x128"]
    setup = Setup(compose(words))
    advice = (
        r"is what the FPN baseline costs \(.+\): give budget.macs=NUMBER, a budget.tolerance above 0, or budget=none"
    )
    with pytest.raises(BudgetError, match=f"^No [^\n]* The target of budget.macs {advice}"):
        assert setup.bounded_space


def test_an_empty_budget_of_a_number_says_what_to_do():
    with pytest.raises(
        BudgetError, match=r"nearest have .*\. Give budget\.macs=NUMBER, a budget\.tolerance above 0\.01, "
    ):
        assert Setup(compose(["input=128x128", "scale=tiny", "budget.macs=1"])).bounded_space


def test_a_wider_tolerance_helps_no_ceiling():
    with pytest.raises(BudgetError, match=r"\. Give budget\.macs=NUMBER, or budget=none\.$"):
        assert Setup(compose(["input=128x128", "scale=tiny", "budget.macs=<=1"])).bounded_space


def test_of_two_budgets_both_are_named():
    words = ["input=128x128", "scale=tiny", "budget.macs=<=80e6", "budget.params=<=1"]
    with pytest.raises(BudgetError, match=r"Give budget\.macs=NUMBER, budget\.params=NUMBER, or budget=none"):
        assert Setup(compose(words)).bounded_space
