"""Nested mappings by dotted keys."""

from msnas.differences import differences, flatten


def test_lists_and_empty_mappings_are_leaves():
    assert flatten({"a": {"b": [1], "c": {}}, "d": 2}) == {"a.b": [1], "a.c": {}, "d": 2}


def test_parts_are_listed_before_what_they_hold():
    assert list(flatten({"a": {"b": {"c": 1}}}, parts=True)) == ["a", "a.b", "a.b.c"]


def test_a_key_that_one_side_lacks_differs():
    assert differences({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}}) == {"a.c": (None, 2)}


def test_only_the_parts_that_are_asked_for_are_compared():
    assert differences({"a": 1, "b": 1}, {"a": 2, "b": 2}, within=["b"]) == {"b": (1, 2)}
