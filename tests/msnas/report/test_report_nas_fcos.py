"""The page of a NAS-FCOS run: both halves of its search, rewards that are minus losses, the decoder (Figs. 3 to 6)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import headless_browser
import pytest
from synthetic_run import make_run

from evolution.history import History
from evolution.ranking import kendall_tau
from evolution.strategy import Evaluation
from msnas.files import read_json
from msnas.report.page import report

Embedded = Callable[[Path], Any]
WORDS = ["space=nas_fcos_fpn", "detector=fcos", "strategy=controller", "budget=none", "input=128x128"]
WORDS += ["strategy.hidden=8", "space.blocks=4", "heads.layers=2"]
WORDS += ["strategy.population_size=6", "strategy.children=6", "strategy.iterations=2"]
WORDS += ["heads.population_size=30", "heads.children=30", "heads.iterations=1"]
MINUS = "\N{MINUS SIGN}"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with every stage complete."""
    return make_run(tmp_path_factory.mktemp("runs"), "decoders", words=WORDS)


@pytest.fixture(scope="module")
def page(run: Path) -> Path:
    """Its report."""
    return report([run])


def scored(run: Path, name: str) -> list[Evaluation]:
    """The first scores of one half, in the order they were made."""
    with History.read(run / "search" / name) as history:
        return [e for e in history.evaluations() if e.replicate == 0]


def test_rewards_of_both_halves_are_on_the_page(run: Path, page: Path, embedded: Embedded) -> None:
    shown = embedded(page)["runs"][0]
    for half, name in ((shown, "history.sqlite"), (shown["second"], "head.sqlite")):
        rewards = [e.score[0] for e in scored(run, name) if e.ok]
        assert [one["reward"] for one in half["samples"]["rewards"]] == rewards
    assert f"{len(scored(run, 'head.sqlite'))} heads followed" in page.read_text()


def test_the_share_of_fully_shared_heads_is_that_of_each_50_drawn(run: Path, page: Path, embedded: Embedded) -> None:
    with History.read(run / "search" / "head.sqlite") as history:
        shared = [genome[-1] == 0 for record in history.generations() for genome in record["drawn"]]
    assert len(shared) > len(scored(run, "head.sqlite"))  # the controller drew some again
    parts = [shared[start : start + 50] for start in range(0, len(shared), 50)]
    shown = embedded(page)["runs"][0]["sharing"]
    assert shown == {"period": 50, "shares": [sum(part) / len(part) for part in parts]}


def test_a_reward_is_minus_a_loss_and_no_percentage(run: Path, page: Path) -> None:
    text = page.read_text()
    for winner in read_json(run / "search" / "result.json")["winners"]:
        assert f"<td>{MINUS}{-winner['score']:.4f}</td>" in text
        assert f"{100 * winner['score']:.2f}".replace("-", MINUS) not in text
    body = text[: text.index("<script")]
    assert "reward (minus the sum of losses)" in body
    assert "one-shot" not in body


def test_an_unfinished_search_tells_its_best_reward(tmp_path: Path) -> None:
    folder = make_run(tmp_path, upto="search", words=WORDS)
    (folder / "search" / "result.json").unlink()
    best = max(e.score[0] for e in scored(folder, "history.sqlite") if e.ok)
    assert f"a reward (minus the sum of losses) of {MINUS}{-best:.4f}." in report([folder]).read_text()


def test_a_reward_that_is_an_ap_stays_in_percent(tmp_path: Path) -> None:
    folder = make_run(tmp_path, upto="search", words=[*WORDS, "candidate.reward=ap"])
    text = report([folder]).read_text()
    assert "minus the sum of losses" not in text
    assert f"<td>{100 * read_json(folder / 'search' / 'result.json')['winners'][0]['score']:.2f}</td>" in text


def test_rewards_stand_against_the_ap_after_retraining(run: Path, page: Path, embedded: Embedded) -> None:
    rows = [read_json(path) for path in sorted((run / "retrain").glob("0*/result.json"))]
    shown = embedded(page)["runs"][0]["tau"]
    assert [(p["one_shot"], p["ap"]) for p in shown["pairs"]] == [(row["one_shot"], row["ap"]) for row in rows]
    tau = kendall_tau([row["one_shot"] for row in rows], [row["ap"] for row in rows])
    assert f"tau of reward against stand-alone AP: {tau:.3f} over 3 networks" in page.read_text().replace("&#39;", "'")


def test_one_retrained_winner_is_too_few_for_a_correlation(tmp_path: Path) -> None:
    folder = make_run(tmp_path, words=WORDS)
    for rank in ("02", "03"):
        next((folder / "retrain").glob(f"{rank}-*/result.json")).unlink()
    text = report([folder]).read_text()
    assert "tau of reward against stand-alone AP needs 3 different points, here are 1." in text
    assert 'data-chart="ranking"' not in text


def test_the_winner_is_drawn_as_a_whole_decoder(page: Path) -> None:
    text = page.read_text()
    drawing = text[text.index('class="scroll drawing"') :].split("</svg>")[0]
    assert all(f">{level}</text>" in drawing for level in ("P3", "P7"))


def test_a_search_for_heads_alone_shows_its_own_sharing(tmp_path: Path, embedded: Embedded) -> None:
    words = [w for w in WORDS if not w.startswith(("space.", "heads."))]
    folder = make_run(tmp_path, upto="search", words=[*words, "space=nas_fcos_head", "space.layers=2"])
    shown = embedded(report([folder]))["runs"][0]
    with History.read(folder / "search" / "head.sqlite") as history:
        shared = [genome[-1] == 0 for record in history.generations() for genome in record["drawn"]]
    assert shown["sharing"]["shares"] == [sum(shared) / len(shared)]
    assert shown["second"] is None


@pytest.mark.skipif(headless_browser.chromium() is None, reason="no Chromium here; on Debian: apt-get install chromium")
def test_every_chart_is_drawn_without_an_error(page: Path) -> None:
    with headless_browser.page() as tab:
        tab.open(page, width=1200, height=900)
        drawn = "[...document.querySelectorAll('[data-chart]')].map((c) => c.querySelectorAll('svg').length)"
        assert min(tab.evaluate(drawn)) >= 1
        assert tab.evaluate("document.querySelectorAll('[data-chart=sharing] rect').length") == 2
        assert tab.errors == []
