"""The comments of conf/ say what every option means, and are read as they stand."""

import pytest
from yaml_comments import without_meaning

from msnas.config.comments import comments, meanings, summary
from msnas.config.compose import folders, groups

CHOICES = [f"{group}={choice}" for group, choices in groups().items() for choice in choices]


@pytest.mark.parametrize("word", CHOICES)
def test_every_option_has_a_meaning(word):
    assert without_meaning(word) == []


@pytest.mark.parametrize("word", CHOICES)
def test_every_choice_has_a_summary_that_is_a_sentence(word):
    assert summary(folders(), *word.split("=")).endswith((".", ")."))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1  # one\n", {"a": "one"}),
        ("a:\n  b: 1  # one\n  c: 2\n", {"a.b": "one"}),
        ("a: 1  # one,\n      # and more\nb: 2\n", {"a": "one, and more"}),
        ("# above\na: 1\nb: 2\n", {"a": "above"}),
        ("# a head\n\na: 1\n", {}),
        ("a: {b: 1, c: 2}  # both\n", {"a": "both", "a.b": "both", "a.c": "both"}),
    ],
)
def test_a_comment_belongs_to_its_option(text, expected, tmp_path):
    (tmp_path / "a.yaml").write_text(text)
    assert comments(tmp_path / "a.yaml") == expected


def test_the_meaning_is_that_of_the_chosen_class():
    texts = [meanings(folders(), {"strategy": name})["strategy.population_size"] for name in ("random", "controller")]
    assert texts == ["drawn first", "architectures before the first update; the paper has 100 workers"]
