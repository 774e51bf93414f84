"""What the page says of differences: words only after three trainings."""

import re
from pathlib import Path
from typing import Any

import pytest
from page_text import Text
from synthetic_run import make_run

from msnas.report.page import report
from msnas.report.verdicts import apart, comparison, sentence, word

JUDGING = re.compile(r"\b(ahead|behind|level|clear of|told apart|better than)\b")


def interval(low: float, high: float, trainings: int = 3) -> dict[str, Any]:
    return {"value": (low + high) / 2, "se": 0.01, "low": low, "high": high, "trainings": trainings}


@pytest.mark.parametrize(
    ("low", "high", "said"), [(0.01, 0.03, "ahead"), (-0.03, -0.01, "behind"), (-0.01, 0.03, "cannot be told apart")]
)
def test_three_trainings_are_judged_by_the_interval(low: float, high: float, said: str) -> None:
    assert word(interval(low, high)) == said
    assert said in sentence((low + high) / 2, interval(low, high))


@pytest.mark.parametrize("trainings", [1, 2])
def test_fewer_trainings_are_not_judged(trainings: int) -> None:
    found = interval(0.1, 0.2, trainings)
    assert word(found) == ""
    assert not JUDGING.search(sentence(0.15, found))


def test_a_page_of_one_training_judges_nothing(page: Path) -> None:
    words = Text(page).words
    assert "nothing can be said about it" in words
    assert "images only" in words
    assert JUDGING.findall(words) == []


def test_two_runs_of_one_training_are_not_judged(run: Path, tmp_path: Path) -> None:
    words = Text(report([run, make_run(tmp_path, "other", seed=1)], tmp_path / "both.html")).words
    assert JUDGING.findall(words) == []


def test_the_difference_of_two_runs_is_as_wide_as_both_together() -> None:
    found = apart(interval(0.37, 0.43), interval(0.26, 0.34))
    assert found is not None
    assert (found["low"], found["high"]) == pytest.approx((0.1 - 0.05, 0.1 + 0.05))


def test_two_runs_of_three_trainings_are_judged() -> None:
    rows = {"a": interval(0.37, 0.43), "b": interval(0.26, 0.34)}
    contexts = [{"row": {"ap": r["value"], "interval": r}, "data": {"name": name}} for name, r in rows.items()]
    assert "It is ahead by 10.0" in comparison(contexts)
