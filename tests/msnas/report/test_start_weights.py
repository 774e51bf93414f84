"""The sentence on the weights that networks began with."""

from msnas.report.start_weights import weights_sentence


def test_networks_that_began_alike_are_not_named():
    rows = [{"name": "winner 1", "weights": "package"}, {"name": "FPN baseline", "weights": "package"}]
    assert weights_sentence(rows) == "Began with the backbone weights `package` (all)."


def test_networks_of_each_start_are_named():
    rows = [
        {"name": "winner 1", "weights": "supernet"},
        {"name": "FPN baseline", "weights": "r18.pth"},
        {"name": "random 1", "weights": "none"},
    ]
    assert weights_sentence(rows) == (
        "Began with the weights of their paths in the supernet (winner 1); the backbone weights `r18.pth` "
        "(FPN baseline); fresh weights (random 1)."
    )


def test_a_run_that_kept_no_weights_says_nothing():
    assert weights_sentence([{"name": "winner 1"}]) == ""
