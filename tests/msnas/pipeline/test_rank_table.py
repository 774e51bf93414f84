"""The numbers of a ranking against ones that are known."""

import random

import pytest

from msnas.pipeline.rank_table import CONTROLS, RECIPES, make_table, render


def results(n, **columns):
    """n networks whose stand-alone AP rises with their number; other columns are noise unless given."""
    rng = random.Random(0)
    names = [*RECIPES, *CONTROLS]
    noise = {name: [rng.random() for _ in range(n)] for name in names} | columns
    return [
        {
            "scores": {name: noise[name][i] for name in (*RECIPES, "random")},
            "standalone": [i / 100, i / 100 + 0.001],
            "macs": noise["macs"][i],
            "params": noise["params"][i],
            "anchor_recall": noise["anchor_recall"][i],
            "mean_stride": -noise["fineness"][i],
        }
        for i in range(n)
    ]


def row_of(table, name):
    return next(row for row in table["rows"] if row["name"] == name)


def test_a_score_in_the_order_of_the_ap_has_tau_one_and_no_regret():
    row = row_of(make_table(results(16, bn=list(range(16))), own="bn", top_k=1), "bn")
    assert (row["tau"], row["regret"], row["points"]) == (1, 0, 16)


def test_a_reversed_score_regrets_all_but_its_top_k():
    row = row_of(make_table(results(16, bn=list(range(16, 0, -1))), own="bn", top_k=3), "bn")
    assert row["tau"] == -1
    assert row["regret"] == pytest.approx(0.13)


def test_the_regret_of_chance_is_the_mean_over_all_choices():
    table = make_table(results(4), own="bn", top_k=2)  # best of two of 0, 1, 2, 3: 3 x 1, 2 x 2 and 3 x 3 of six
    assert table["regret_of_chance"] == pytest.approx(0.03 - (1 + 2 * 2 + 3 * 3) / 600)


def test_below_16_networks_there_is_no_verdict():
    verdict = make_table(results(15, bn=list(range(15))), own="bn", top_k=1)["verdict"]
    assert not verdict["given"]
    assert "15 networks are too few" in verdict["text"]


def test_a_perfect_score_ranks_and_beats_noise():
    verdict = make_table(results(16, finetune=list(range(16))), own="finetune", top_k=1)["verdict"]
    assert verdict["ranks"]
    assert verdict["beats_controls"]


def test_a_score_no_better_than_macs_does_not_beat_them():
    same = list(range(18))
    verdict = make_table(results(18, finetune=same, macs=same), own="finetune", top_k=1)["verdict"]
    assert verdict["ranks"]
    assert (verdict["control"], verdict["beats_controls"]) == ("macs", False)


def test_a_control_that_orders_backwards_is_as_strong_as_forwards():
    backwards = list(range(18, 0, -1))
    verdict = make_table(results(18, finetune=list(range(18)), macs=backwards), own="finetune", top_k=1)["verdict"]
    assert (verdict["control"], verdict["beats_controls"]) == ("macs", False)


def test_noise_cannot_be_told_from_chance():
    verdict = make_table(results(16), own="raw", top_k=1)["verdict"]
    assert verdict["given"]
    assert not verdict["ranks"]


def test_a_network_that_failed_counts_where_it_did_not():
    rows = results(17, bn=[None, *range(16)])
    rows[3]["standalone"][1] = None
    table = make_table(rows, own="bn", top_k=1)
    assert [row_of(table, name)["points"] for name in ("bn", "raw", "standalone")] == [16, 17, 16]


def test_equal_scores_have_no_tau_and_no_verdict():
    table = make_table(results(16, raw=[0.0] * 16), own="raw", top_k=1)
    assert row_of(table, "raw")["tau"] is None
    assert not table["verdict"]["given"]
    assert "No verdict" in render(table)


def test_the_text_names_every_score_and_the_verdict():
    text = render(make_table(results(16), own="bn", top_k=2))
    assert all(shown in text for shown in (*RECIPES, *CONTROLS.values(), "ceiling", "drawn by chance", "(bn)"))
