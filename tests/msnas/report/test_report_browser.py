"""The page in a real browser: Debian's Chromium, headless; skipped where there is none."""

from collections.abc import Iterator
from pathlib import Path

import headless_browser
import pytest
from synthetic_run import make_run

from msnas.report.page import report

pytestmark = pytest.mark.skipif(
    headless_browser.chromium() is None, reason="no Chromium here; on Debian: apt-get install chromium"
)


@pytest.fixture(scope="module")
def tab() -> Iterator[headless_browser.Page]:
    with headless_browser.page() as tab:
        yield tab


@pytest.fixture
def opened(tab: headless_browser.Page, page: Path) -> headless_browser.Page:
    tab.errors.clear()
    tab.requests.clear()
    tab.open(page, width=1200, height=900)
    return tab


CHARTS = ("evolution", "children", "scatter", "choices", "ranking", "detections", "training")


@pytest.mark.parametrize(("width", "mobile"), [(1200, False), (390, True)])
def test_every_chart_is_drawn_without_an_error(
    tab: headless_browser.Page, page: Path, width: int, mobile: bool
) -> None:
    tab.errors.clear()
    tab.open(page, width=width, height=800, mobile=mobile)
    pictures = "(e) => [e.dataset.chart, e.querySelectorAll('svg').length]"
    drawn = tab.evaluate(f"[...document.querySelectorAll('[data-chart]')].map({pictures})")
    assert {name for name, pictures in drawn if pictures} == set(CHARTS)
    assert tab.errors == []


def test_a_phone_never_scrolls_sideways(tab: headless_browser.Page, page: Path) -> None:
    tab.open(page, width=360, height=740, mobile=True)
    assert tab.evaluate("document.documentElement.scrollWidth") == 360


def test_no_request_leaves_the_page(opened: headless_browser.Page, page: Path) -> None:
    leaving = [url for url in opened.requests if not url.startswith("data:")]
    assert leaving == [page.absolute().as_uri()]


def test_hovering_a_candidate_shows_its_architecture(opened: headless_browser.Page) -> None:
    opened.move("[data-chart=scatter] circle.candidate:nth-of-type(7)")
    opened.wait_for("!document.getElementById('tip').hidden")
    tip = opened.evaluate("document.getElementById('tip').innerText")
    known = opened.evaluate("PAGE.runs[0].evaluations.map((e) => e.architecture.replace('|', ' | '))")
    assert any(architecture in tip for architecture in known)
    assert opened.evaluate("document.querySelectorAll('#tip svg.thumb rect').length") == 18


def test_leaving_a_chart_hides_the_tip(opened: headless_browser.Page) -> None:
    opened.move("[data-chart=scatter] circle.candidate:nth-of-type(7)")
    opened.wait_for("!document.getElementById('tip').hidden")
    opened.move("h2")
    opened.wait_for("document.getElementById('tip').hidden")
    assert opened.errors == []


SHOWN = "[...document.querySelectorAll('circle.candidate')].filter((e) => e.style.display !== 'none').length"


def test_filtering_an_operator_hides_its_candidates_and_shows_them_again(
    opened: headless_browser.Page,
) -> None:
    everything = opened.evaluate(SHOWN)
    random = opened.evaluate("document.querySelectorAll('circle.candidate[data-origin=random]').length")
    opened.click("[data-filter=random]")
    assert random > 0
    assert opened.evaluate(SHOWN) == everything - random
    opened.click("[data-filter=random]")
    assert opened.evaluate(SHOWN) == everything


def test_the_generation_slider_filters(opened: headless_browser.Page) -> None:
    opened.evaluate(
        "(() => { const s = document.querySelector('input[data-filter=generation]'); s.value = 0;"
        "s.dispatchEvent(new Event('input')); })()"
    )
    first = opened.evaluate("PAGE.runs[0].evaluations.filter((e) => e.ap !== null && e.generation === 0).length")
    assert opened.evaluate(SHOWN) == first
    assert opened.evaluate("document.querySelector('.count').textContent").startswith(f"{first} of ")


def test_the_score_slider_filters_detections(opened: headless_browser.Page) -> None:
    boxes = "document.querySelectorAll('rect.box:not([stroke-dasharray])').length"
    before = opened.evaluate(boxes)
    opened.evaluate(
        "(() => { const s = document.querySelector('input[data-filter=score]'); s.value = 90;"
        "s.dispatchEvent(new Event('input')); })()"
    )
    assert opened.evaluate(boxes) < before


def test_several_runs_are_shown_one_at_a_time(tab: headless_browser.Page, run: Path, tmp_path: Path) -> None:
    page = report([run, make_run(tmp_path, "other", seed=1)], tmp_path / "both.html")
    tab.errors.clear()
    tab.open(page, width=1200, height=900)
    visible = "[...document.querySelectorAll('.run')].map((e) => e.clientHeight > 0)"
    assert tab.evaluate(visible) == [True, False]
    tab.click("[data-show='1']")
    assert tab.evaluate(visible) == [False, True]
    assert tab.evaluate("document.querySelectorAll('.run[data-run=\"1\"] circle.candidate').length") > 10
    assert tab.errors == []


def test_a_run_that_has_only_begun_opens_without_an_error(tab: headless_browser.Page, tmp_path: Path) -> None:
    tab.errors.clear()
    tab.open(report([make_run(tmp_path, "begun", upto="config")]), width=800, height=600)
    assert "Not known yet" in tab.evaluate("document.body.innerText")
    assert tab.errors == []
