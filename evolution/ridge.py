"""Ridge regression in closed form; how strongly it shrinks is chosen by leave-one-out."""

from typing import Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

PENALTIES = np.logspace(-2, 3, 11)


class Ridge:
    """A linear model with an intercept, whose penalty is the one of PENALTIES with the least leave-one-out error."""

    def fit(self, features: Floats, scores: Floats) -> Self:
        """Learn scores [n] from features [n, F].

        One eigendecomposition serves all penalties, and the hat matrix's diagonal h says without a refit how far the
        model that did not see a row is off: its residual / (1 - h).
        """
        self.centre, self.mean = features.mean(0), scores.mean()
        x, y = features - self.centre, scores - self.mean
        variances, axes = np.linalg.eigh(x.T @ x)  # [F], [F, F]
        x = x @ axes
        shrinkage = 1 / (variances[:, None] + PENALTIES)  # [F, penalties]
        weights = shrinkage * (x.T @ y)[:, None]
        leverage = x**2 @ shrinkage + 1 / len(y)  # the intercept's is 1 / n
        left_out = (y[:, None] - x @ weights) / (1 - leverage)  # [n, penalties]
        self.weights = axes @ weights[:, np.square(left_out).mean(0).argmin()]
        return self

    def predict(self, features: Floats) -> Floats:
        """Scores [n] of features [n, F]."""
        predicted: Floats = (features - self.centre) @ self.weights + self.mean
        return predicted
