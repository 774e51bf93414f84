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


def test_the_truth_is_the_mean_of_the_trainings():
    rows = results(16, bn=list(range(16)))
    for i, one in enumerate(rows):  # alone the first says the reverse; the mean rises with the number
        one["standalone"] = [-i / 100, 3 * i / 100]
    table = make_table(rows, own="bn", top_k=1)
    assert (row_of(table, "bn")["tau"], row_of(table, "standalone")["tau"]) == (1, -1)
    assert (table["best_ap"], table["bound"]) == (pytest.approx(0.15), None)


def test_of_three_trainings_the_reliability_is_the_mean_over_their_pairs():
    rows = results(4)
    for i, one in enumerate(rows):
        one["standalone"] = [i, i, -i]  # tau 1, -1, -1
    table = make_table(rows, own="bn", top_k=1)
    assert row_of(table, "standalone")["tau"] == pytest.approx(-1 / 3)
    assert table["trainings"] == 3


def test_half_the_schedule_stands_beside_the_full_one_where_it_was_measured():
    rows = results(16)
    assert "half" not in [row["name"] for row in make_table(rows, own="bn", top_k=1)["rows"]]
    for one in rows[1:]:
        one["standalone_half"] = [one["standalone"][0] / 2, None]
    table = make_table(rows, own="bn", top_k=1)
    assert (row_of(table, "half")["tau"], row_of(table, "half")["points"]) == (1, 15)
    assert "half the schedule" in render(table)


def test_the_table_says_what_the_trunks_carry():
    rows = results(4)
    assert make_table(rows, own="bn", top_k=1)["trunk"] is None
    for one in rows:
        one["standalone"], one["without_residuals"] = [0.6, 0.5], [0.58, None]
    table = make_table(rows, own="bn", top_k=1)
    assert table["trunk"] == pytest.approx({"ap": 0.6, "carried": 0.02})
    assert "trunks carry 2.0 of 60.0 AP in the mean: train longer." in render(table)


def with_heads(rows, size):
    """Networks in turn of groups with the same heads, as large as `size` says."""
    heads = [str(group) for group, n in enumerate(size) for _ in range(n)]
    return [{**one, "heads": name} for one, name in zip(rows, heads, strict=True)]


def test_tau_within_the_same_heads_is_over_groups_of_four_or_more():
    order = [8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7]  # right inside the groups, wrong between them
    table = make_table(with_heads(results(16, bn=order), (8, 5, 3)), own="bn", top_k=1)
    row = row_of(table, "bn")
    assert row["tau"] < 0
    assert (row["within"]["tau"], row["within"]["groups"], row["within"]["points"]) == (1, 2, 13)


def test_heads_that_are_constant_say_nothing_within_the_same_heads():
    recall = [0.1] * 8 + [0.9] * 8
    table = make_table(with_heads(results(16, anchor_recall=recall), (8, 8)), own="bn", top_k=1)
    assert row_of(table, "anchor_recall")["tau"] > 0.5
    assert row_of(table, "anchor_recall")["within"]["tau"] is None


def test_there_is_a_verdict_in_all_and_one_within_the_same_heads():
    table = make_table(with_heads(results(20, bn=list(range(20))), (10, 10)), own="bn", top_k=1)
    assert table["verdict"]["within"]["ranks"]
    assert table["verdict"]["within"]["beats_controls"]
    assert "Within the same heads: the search's score (bn) ranks: tau 1.00" in render(table)


def test_few_networks_of_the_same_heads_give_no_verdict_within():
    table = make_table(with_heads(results(20, bn=list(range(20))), (8, 4, 3, 3, 2)), own="bn", top_k=1)
    assert table["verdict"]["given"]
    assert not table["verdict"]["within"]["given"]
    assert "no verdict: 12 networks are too few" in render(table)


def test_networks_without_groups_of_the_same_heads_have_no_column_of_them():
    table = make_table(with_heads(results(4), (1, 1, 1, 1)), own="bn", top_k=1)
    assert "within" not in table["verdict"]
    assert "same heads" not in render(table)


def test_a_table_of_before_is_still_shown():
    table = make_table(results(16), own="bn", top_k=1)
    row_of(table, "standalone")["kind"] = "ceiling"
    old = {key: value for key, value in table.items() if key not in ("bound", "trainings")}
    assert "reliability" in render(old)


def test_equal_scores_have_no_tau_and_no_verdict():
    table = make_table(results(16, raw=[0.0] * 16), own="raw", top_k=1)
    assert row_of(table, "raw")["tau"] is None
    assert not table["verdict"]["given"]
    assert "No verdict" in render(table)


def test_the_text_names_every_score_and_the_verdict():
    text = render(make_table(results(16), own="bn", top_k=2))
    assert all(shown in text for shown in (*RECIPES, *CONTROLS.values(), "reliability", "drawn by chance", "(bn)"))
