"""An evaluation: what it accepts, what it refuses, and that it comes back from JSON as it was."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolution.errors import StrategyError
from evolution.strategy import Evaluation

finite = st.floats(allow_nan=False, allow_infinity=False)
evaluations = st.builds(
    Evaluation,
    genome=st.lists(st.integers(0, 9), min_size=1, max_size=30).map(tuple),
    score=st.lists(finite, min_size=1, max_size=3).map(tuple),
    metrics=st.dictionaries(st.text(), finite),
    cost=st.dictionaries(st.text(), st.one_of(st.integers(0, 2**70), finite)),
    recipe=st.dictionaries(st.text(), st.one_of(st.text(), finite, st.none(), st.lists(st.integers()))),
    seed=st.integers(0, 2**63),
    replicate=st.integers(0, 9),
    seconds=st.floats(0, 1e9),
    generation=st.integers(0, 99),
    origin=st.text(),
)


@given(evaluations)
def test_json_keeps_every_bit(evaluation):
    back = Evaluation.from_json(evaluation.to_json())
    assert back == evaluation
    assert [number.hex() for number in back.score] == [number.hex() for number in evaluation.score]


def test_numpy_scalars_become_plain_numbers():
    evaluation = Evaluation(
        genome=tuple(np.array([1, 2])),
        score=(np.float32(0.5),),
        cost={"macs": np.int64(2**40), "ms": np.float64(1.5)},
    )
    assert json.loads(evaluation.to_json())["cost"] == {"macs": 2**40, "ms": 1.5}
    assert type(evaluation.cost["macs"]) is int


def test_failed_scores_below_every_other():
    bad = Evaluation(genome=(0,), status="failed", reason="diverged")
    assert bad.score < Evaluation(genome=(0,), score=(-1e308,)).score


def test_a_reason_is_one_line():
    assert Evaluation(genome=(0,), status="failed", reason="out\nof  memory\n").reason == "out of memory"


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"genome": ()}, "at least one gene"),
        ({"genome": (0.5,)}, "sequence of ints"),
        ({"score": (float("nan"),)}, "score is a finite number"),
        ({"score": ("high",)}, "score is a number"),
        ({"score": ()}, "has a score"),
        ({"reason": "?"}, "no reason"),
        ({"metrics": {"ap50": float("inf")}}, "metrics.ap50"),
        ({"cost": {"macs": None}}, "cost.macs"),
        ({"recipe": {"model": object()}}, "JSON"),
        ({"replicate": -1}, "replicate"),
        ({"seconds": -0.1}, "seconds"),
        ({"status": "done"}, "status"),
        ({"status": "failed"}, "no score"),
        ({"status": "failed", "score": ()}, "has a reason"),
    ],
)
def test_what_breaks_a_rule_is_named(wrong, named):
    with pytest.raises(StrategyError, match=named):
        Evaluation(**{"genome": (1, 2), "score": (0.5,), **wrong})
