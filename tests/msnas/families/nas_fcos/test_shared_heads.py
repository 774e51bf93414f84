"""Fig. 5: the share of heads that share all weights, over periods."""

from msnas.families.nas_fcos.shared_heads import fully_shared


def test_the_share_is_counted_period_by_period():
    heads = [(1, 2, share) for share in (0, 2, 1, 2, 0, 0)]
    assert fully_shared(heads, period=4) == [0.25, 1.0]


def test_a_head_that_was_sampled_again_counts_again():
    assert fully_shared([(1, 2, 0), (1, 2, 0), (1, 2, 0), (1, 2, 3)], period=4) == [0.75]


def test_a_search_that_has_not_begun_has_no_periods():
    assert fully_shared([]) == []
