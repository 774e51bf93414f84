"""Fig. 5: the share of heads that share all weights, over periods."""

from evolution.strategy import Evaluation
from msnas.families.nas_fcos.shared_heads import fully_shared


def evaluation(share, replicate=0):
    return Evaluation(genome=(1, 2, share), score=(0.0,), replicate=replicate)


def test_the_share_is_counted_period_by_period():
    heads = [evaluation(share) for share in (0, 2, 1, 2, 0, 0)]
    assert fully_shared(heads, period=4) == [0.25, 1.0]


def test_scores_made_again_do_not_count():
    assert fully_shared([evaluation(0), evaluation(2, replicate=1)], period=2) == [1.0]


def test_a_search_that_has_not_begun_has_no_periods():
    assert fully_shared([]) == []
