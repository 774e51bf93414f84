import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from page_text import Text
from synthetic_run import make_run

from evolution.history import History
from msnas.drawings.palette import DASH
from msnas.errors import ConfigError, RunError
from msnas.files import read_json, write_json
from msnas.report import page as page_module
from msnas.report.page import report

Embedded = Callable[[Path], Any]


def test_every_evaluation_is_on_the_page_at_full_precision(run: Path, page: Path, embedded: Embedded) -> None:
    with History.read(run / "search" / "history.sqlite") as history:
        stored = {e.genome: e for e in history.evaluations() if e.replicate == 0}.values()
    shown = embedded(page)["runs"][0]["evaluations"]
    assert [(e["genome"], e["ap"], e["macs"], e["seconds"], e["status"]) for e in shown] == [
        (list(e.genome), e.score[0] if e.ok else None, e.cost["macs"], e.seconds, e.status) for e in stored
    ]


def test_every_retrained_number_is_on_the_page(run: Path, page: Path, embedded: Embedded) -> None:
    shown = {row["folder"]: row for row in embedded(page)["runs"][0]["retrained"]}
    for path in (run / "retrain").glob("*/result.json"):
        stored = read_json(path)
        assert {key: shown[path.parent.name][key] for key in stored} == stored


def test_the_tables_show_the_numbers_of_the_run(run: Path, page: Path) -> None:
    words = Text(page).words
    for path in (run / "retrain").glob("*/result.json"):
        stored = read_json(path)
        assert f"{100 * stored['ap']:.1f}" in words
        assert f"{stored['macs'] / 1e6:.2f} M" in words
    for winner in read_json(run / "search" / "result.json")["winners"]:
        assert f"{100 * winner['score']:.2f}" in words
        assert winner["architecture"] in words


def test_generations_show_what_the_strategy_recorded(run: Path, page: Path, embedded: Embedded) -> None:
    with History.read(run / "search" / "history.sqlite") as history:
        stored = history.generations()
    shown = embedded(page)["runs"][0]
    assert shown["generations"] == [{**record, "survivors": None} for record in stored]
    assert [row["best"] for row in shown["best_so_far"]] == [row["best"] for row in stored]
    assert [row["mean"] for row in shown["best_so_far"]] == pytest.approx([row["mean"] for row in stored])
    assert [row["failed"] for row in shown["best_so_far"]] == [row["failed"] for row in stored]


def test_choice_counts_add_up_to_the_survivors(page: Path, embedded: Embedded) -> None:
    shown = embedded(page)["runs"][0]
    survivors = [row["survivors"] for row in shown["best_so_far"]]
    assert len(shown["choices"]) == 18
    for gene in shown["choices"]:
        assert [sum(counts) for counts in gene["counts"]] == survivors


def test_heads_that_are_fixed_are_no_choice(tmp_path: Path, embedded: Embedded) -> None:
    folder = make_run(tmp_path, upto="search", words=["space.heads=[4,8,16,32,64]", "budget.tolerance=0.2"])
    genes = embedded(report([folder]))["runs"][0]["choices"]
    assert [gene["section"] for gene in genes] == ["encoder"] * 13


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of random search, which keeps nobody."""
    return make_run(tmp_path_factory.mktemp("runs"), "drawn", upto="search", words=["strategy=random"])


def test_where_nobody_survives_the_mean_is_of_each_generation(drawn: Path, embedded: Embedded) -> None:
    shown = embedded(report([drawn]))["runs"][0]
    rows = shown["best_so_far"]
    for row in rows:
        aps = [e["ap"] for e in shown["evaluations"] if e["generation"] == row["generation"] and e["ap"] is not None]
        assert (row["mean"], row["survivors"]) == (pytest.approx(sum(aps) / len(aps)), len(aps))
    assert [row["best"] for row in rows] == sorted(row["best"] for row in rows)
    assert rows[-1]["best"] == max(e["ap"] for e in shown["evaluations"] if e["ap"] is not None)


@pytest.mark.parametrize("strategy", ["regularized", "nsga2", "algorithm1"])
def test_who_survives_is_what_the_strategy_says(strategy: str, tmp_path: Path, embedded: Embedded) -> None:
    folder = make_run(tmp_path, upto="search", words=[f"strategy={strategy}"])
    with History.read(folder / "search" / "history.sqlite") as history:
        aps = [one["score"][0] for one in history.state()["population"]]
    row = embedded(report([folder]))["runs"][0]["best_so_far"][-1]
    assert (row["mean"], row["survivors"], row["sampled"]) == (pytest.approx(sum(aps) / len(aps)), len(aps), False)


def test_where_nobody_survives_the_page_says_so(drawn: Path, page: Path) -> None:
    words = Text(report([drawn])).words
    assert "this strategy keeps no survivors" in words
    assert "What survived" not in words
    assert "What survived" in Text(page).words


def test_nothing_is_both_cheaper_and_better_than_the_front(page: Path, embedded: Embedded) -> None:
    scored = [e for e in embedded(page)["runs"][0]["evaluations"] if e["ap"] is not None]
    front = [e for e in scored if e["front"]]
    assert front
    for e in scored:
        beaten = any(f["ap"] >= e["ap"] and f["macs"] <= e["macs"] and f is not e for f in scored)
        assert e["front"] != beaten


def test_intervals_hold_the_ap_that_was_reported(page: Path, embedded: Embedded) -> None:
    for network in embedded(page)["runs"][0]["networks"]:
        assert network["intervals"]["ap"]["value"] == pytest.approx(network["ap"], abs=1e-9)


def test_a_curve_keeps_the_mean_of_all_steps(run: Path, page: Path, embedded: Embedded) -> None:
    lines = (run / "supernet" / "metrics.jsonl").read_text().splitlines()[:-1]
    losses = [json.loads(line)["loss"] for line in lines]
    curve = embedded(page)["runs"][0]["curves"][0]
    assert (curve["name"], curve["steps"], len(curve["step"])) == ("supernet", 3000, 231)
    assert curve["loss"][0] == pytest.approx(sum(losses[:13]) / 13)
    assert max(curve["high"]) == max(losses)


def test_pictures_show_the_same_images_for_winner_and_baseline(page: Path, embedded: Embedded) -> None:
    pictures = embedded(page)["runs"][0]["pictures"]
    assert len(pictures) == 6
    assert {tuple(picture["detections"]) for picture in pictures} == {("winner 1", "FPN baseline")}


def test_a_page_asks_for_nothing_from_elsewhere(page: Path) -> None:
    text = page.read_text()
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", text)
    assert "default-src 'none'" in text


def test_a_page_weighs_less_than_a_megabyte(page: Path) -> None:
    assert page.stat().st_size < 1_000_000


def test_names_of_the_data_cannot_become_markup(page: Path) -> None:
    assert "ray <b>" not in page.read_text()
    assert "ray \\u003cb>" in page.read_text()


def test_the_question_comes_before_the_search(page: Path) -> None:
    words = Text(page).words
    assert (
        words.index("Which detector within 1 % of")
        < words.index("The search's first choice")
        < words.index("Generation")
    )


def test_commands_machine_and_configuration_are_there(run: Path, page: Path) -> None:
    words = Text(page).words
    assert f"msnas search run={run.name}" in words
    assert "A quiet CPU" in words
    assert "population_size: 12" in words


@pytest.mark.parametrize(
    ("upto", "missing"),
    [
        ("config", ["train", "search", "retrain"]),
        ("supernet", ["search", "retrain"]),
        ("search", ["retrain"]),
    ],
)
def test_a_stage_that_has_not_run_is_named_with_its_command(tmp_path: Path, upto: str, missing: list[str]) -> None:
    words = Text(report([make_run(tmp_path, "half", upto=upto)])).words
    assert re.findall(r"it starts with msnas (\w+) run=half", words) == missing


def test_a_run_whose_data_are_gone_is_still_reported(tmp_path: Path, embedded: Embedded) -> None:
    folder = make_run(tmp_path, "moved")
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    shown = embedded(report([folder]))["runs"][0]
    assert shown["pictures"] == []
    assert "data.root must be a folder that exists" in shown["pictures_note"]


def test_several_seeds_give_one_row_with_their_mean(tmp_path: Path, embedded: Embedded) -> None:
    folder = make_run(tmp_path, "seeds", seeds=2)
    aps = [read_json(path)["ap"] for path in (folder / "retrain").glob("baseline-fpn*/result.json")]
    network = embedded(report([folder]))["runs"][0]["networks"][-1]
    assert (network["name"], network["seeds"]) == ("FPN baseline", 2)
    assert network["ap"] == pytest.approx(sum(aps) / 2)
    assert network["se"] == pytest.approx(abs(aps[0] - aps[1]) / 2)


def test_recalls_by_size_are_means_over_the_seeds_of_winners_and_fpn(tmp_path: Path, embedded: Embedded) -> None:
    folder = make_run(tmp_path, "sizes", seeds=2)
    for path in (folder / "retrain").glob("*/result.json"):
        first = 0.5 if "seed1" in path.parent.name else 0.2
        by_size = {"group_recall": [first, 0.5, 0.5, 0.5, None], "group_borders": [9, 18, 36, 72]}
        write_json(path, {**read_json(path), **by_size})
    page = report([folder])
    rows = embedded(page)["runs"][0]["networks"]
    assert {row["name"]: row["group_recall"] for row in rows} == {
        row["name"]: [pytest.approx(0.35), 0.5, 0.5, 0.5, None] for row in rows
    }
    assert f"winner 135.0 %50.0 %50.0 %50.0 %{DASH}" in Text(page).words
    assert f"< 9 px9{DASH}18 px18{DASH}36 px36{DASH}72 px≥ 72 px" in Text(page).words


def test_a_run_without_recalls_by_size_says_nothing_of_them(page: Path) -> None:
    assert "by their size" not in Text(page).words


def test_several_runs_stand_side_by_side(run: Path, tmp_path: Path, embedded: Embedded) -> None:
    other = make_run(tmp_path, "other", seed=1)
    page = report([run, other], tmp_path / "both.html")
    assert [shown["name"] for shown in embedded(page)["runs"]] == [run.name, "other"]
    assert "Which run found the best detector?" in Text(page).words


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is no run"):
        report([tmp_path])


def test_a_missing_template_engine_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "jinja2", None)
    with pytest.raises(ConfigError, match=r'pip install "msnas\[report\]"'):
        page_module.page([])


def test_a_run_over_pyramid_cells_shows_its_pyramid(tmp_path: Path, embedded: Embedded) -> None:
    words = ("space=nas_fpn", "budget=none", "input=128x128")
    page = report([make_run(tmp_path, "cells", upto="search", words=words)])
    assert embedded(page)["runs"][0]["choices"][0]["values"][0] == "choice 0"
    assert "R-C-B" in Text(page).words


def test_the_ranking_is_on_the_page_as_the_run_has_it(run: Path, page: Path, embedded: Embedded) -> None:
    table, words = read_json(run / "rank" / "table.json"), Text(page).words
    shown = embedded(page)["runs"][0]["rank"]
    assert [{**row, "label": None} for row in shown["rows"]] == [{**row, "label": None} for row in table["rows"]]
    assert table["verdict"]["text"] in words
    for row in table["rows"]:
        low, high = (f"{value:.2f}".replace("-", "\N{MINUS SIGN}") for value in row["interval"])
        assert f"{low} … {high}" in words


def test_the_ranking_has_its_bound_and_its_verdict_within_the_same_heads(run: Path, page: Path) -> None:
    table, words = read_json(run / "rank" / "table.json"), Text(page).words
    assert f"A perfect score's tau would be about {table['bound']:.2f}" in words
    assert "Within the same heads: the search's score (finetune)" in words
    assert "half the schedule against the full one" in words


def test_a_run_without_a_ranking_says_nothing_of_one(tmp_path: Path) -> None:
    assert "ranking be believed" not in Text(report([make_run(tmp_path, upto="search")])).words


def test_each_winner_has_its_score_when_selected_again_and_after_retraining(
    run: Path, page: Path, embedded: Embedded
) -> None:
    trained = {row["architecture"]: row["ap"] for row in map(read_json, (run / "retrain").glob("0*/result.json"))}
    for found, winner in zip(
        embedded(page)["runs"][0]["winners"], read_json(run / "search" / "result.json")["winners"], strict=True
    ):
        assert found == {**winner, "retrained": trained[winner["architecture"]]}


def test_an_error_over_images_stands_beside_the_one_over_batches(tmp_path: Path) -> None:
    folder = make_run(tmp_path, upto="search")
    assert "what other images would give is not in it" in Text(report([folder])).words
    path = folder / "search" / "result.json"
    result = read_json(path)
    winners = [{**winner, "image_error": 0.0137} for winner in result["winners"]]
    write_json(path, {**result, "winners": winners})
    assert "1.37" in Text(report([folder])).words


@pytest.mark.parametrize(
    ("error", "said"), [(0.02, "other images could reverse them"), (0.001, "clear of what other images could do")]
)
def test_the_lead_of_the_first_finalist_is_held_against_the_images(tmp_path: Path, error: float, said: str) -> None:
    folder = make_run(tmp_path, upto="search")
    path = folder / "search" / "result.json"
    result = read_json(path)
    first, second = ({**row, "score": score} for row, score in zip(result["finalists"], (0.31, 0.3), strict=False))
    write_json(path, {**result, "finalists": [first, {**second, "image_error_beside_first": error}]})
    assert (
        f"1.00 ahead of the next, with a standard error of {100 * error:.2f} over the images: {said}"
        in Text(report([folder])).words
    )
