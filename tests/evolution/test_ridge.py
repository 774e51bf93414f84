"""The closed form against scikit-learn's."""

import numpy as np
import pytest

from evolution.ridge import PENALTIES, Ridge


def drawn(rows, seed=0):
    """One-hot genes [rows, 12 x 5] with a linear score and noise; some values of some genes never occur."""
    rng = np.random.default_rng(seed)
    genes = rng.integers(0, 4, (rows, 12))
    features = (genes[:, :, None] == np.arange(5)).reshape(rows, -1).astype(float)
    return features, features @ rng.normal(size=60) + rng.normal(size=rows)


@pytest.mark.parametrize("rows", [10, 40, 200])
def test_it_predicts_what_scikit_learn_does(rows):
    linear = pytest.importorskip("sklearn.linear_model")
    features, scores = drawn(rows)
    unseen, _ = drawn(50, seed=1)
    expected = linear.RidgeCV(alphas=PENALTIES).fit(features, scores).predict(unseen)
    assert Ridge().fit(features, scores).predict(unseen) == pytest.approx(expected, abs=1e-10)


def test_equal_scores_predict_themselves():
    features, _ = drawn(20)
    assert Ridge().fit(features, np.full(20, 0.3)).predict(features) == pytest.approx(np.full(20, 0.3))
