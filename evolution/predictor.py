"""A predictor screens the space: hundreds of architectures are drawn for nothing, the most promising are scored.

Ridge or Gaussian process on one-hot genes (Wen et al., "Neural Predictor for Neural Architecture Search", arXiv
1912.00848, with a linear model in place of the graph network: there are tens of evaluations, not hundreds).
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt
from deap import tools

from evolution.errors import StrategyError
from evolution.generational import Generational, Sizes
from evolution.operators import Offspring, sample_new
from evolution.population import Individual, succeeded
from evolution.strategy import Evaluation, Genome, Record, Space, as_genome, check_natural, check_positive

Floats = npt.NDArray[np.float64]

MODELS = ("ridge", "gaussian_process")
ORIGIN = "predictor"
FOLDS = 5
FEWEST = 2 * FOLDS  # evaluations below which nothing is predicted


class PredictorSearch(Generational):
    """A generation: the `children` best predicted of `proposals` uniform draws, and `n_random` uniform ones.

    While Kendall's tau of the model's cross-validated predictions is below `threshold`, or there are fewer than
    `FEWEST` evaluations, all of them are uniform. The record says tau and whether it predicted. `population` is
    the best so far; the model learns from everything scored.
    """

    ranks_rungs = False

    def __init__(
        self,
        space: Space,
        *,
        n_random: int = 4,
        proposals: int = 500,
        model: str = "ridge",
        threshold: float = 0.3,
        **sizes: Unpack[Sizes],
    ) -> None:
        super().__init__(space, **sizes)
        check_positive(proposals=proposals)
        if proposals < self.children:
            raise StrategyError(f"`children <= proposals` must hold, but got {self.children} and {proposals}.")
        if not -1 <= threshold <= 1:
            raise StrategyError(f"`-1 <= threshold <= 1` must hold for a tau, but got {threshold=}.")
        self.n_random = check_natural("n_random", n_random)
        self.proposals = proposals
        self.threshold = threshold
        self._make_model = _model_maker(model)
        self._known: dict[Genome, float] = {}  # everything scored that did not fail, in the order told
        self._tau: float | None = None  # cross-validated, before the generation that is asked

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Take in the evaluations of all genomes asked, in any order."""
        scores = {evaluation.genome: evaluation.score[0] for evaluation in succeeded(evaluations)}
        self._known |= {genome: scores[genome] for genome in self._asked if genome in scores}
        super().tell(evaluations)

    @property
    def predicts(self) -> bool:
        """Whether the predictions are good enough to be followed."""
        return self._tau is not None and self._tau >= self.threshold

    def _breed(self, taken: set[Genome]) -> Offspring:
        features, scores = self._one_hot(list(self._known)), np.array(list(self._known.values()))
        self._tau = cross_validated_tau(self._make_model, features, scores)
        if not self.predicts:
            return self._uniform(self.children + self.n_random, taken)
        offspring = self._screened(self._fitted(features, scores), taken)
        offspring.add(self._uniform(self.n_random, taken))
        return offspring

    def _fitted(self, features: Floats, scores: Floats) -> Any:
        return _quietly(self._make_model().fit, features, scores)

    def _screened(self, model: Any, taken: set[Genome]) -> Offspring:
        """The best predicted of the proposals; only these are added to `taken`."""
        proposed = self._uniform(self.proposals, set(taken))
        offspring = Offspring(self.children)
        offspring.draws[ORIGIN] = proposed.draws.total()
        genomes = list(proposed.children)
        if genomes:
            predicted = model.predict(self._one_hot(genomes))
            best = np.argsort(-predicted, kind="stable")[: self.children]
            offspring.children = {genomes[int(index)]: ORIGIN for index in best}
        offspring.accepted[ORIGIN] = len(offspring.children)
        taken.update(offspring.children)
        return offspring

    def _uniform(self, count: int, taken: set[Genome]) -> Offspring:
        return sample_new(self.space, count, taken, self.rng, max_attempts=self.max_attempts)

    def _one_hot(self, genomes: Sequence[Genome]) -> Floats:
        """[n, L] genes to [n, sum of cardinalities] of 0 and 1."""
        genes = np.array(genomes)
        columns = [genes[:, [i]] == np.arange(count) for i, count in enumerate(self.space.cardinalities)]
        return np.concatenate(columns, axis=1).astype(np.float64)

    def _select(self, newcomers: list[Individual]) -> list[Individual]:
        best: list[Individual] = tools.selBest(self.population + newcomers, self.population_size)
        return best

    def _summary(self) -> Record:
        return {**super()._summary(), "tau": self._tau, "predicts": self.predicts}

    def state_dict(self) -> Record:
        """All state, the generator's included, as JSON values."""
        known = [[list(genome), score] for genome, score in self._known.items()]
        return {**super().state_dict(), "known": known, "tau": self._tau}

    def load_state_dict(self, state: Record) -> None:
        """Go on exactly where `state_dict` was taken."""
        super().load_state_dict(state)
        self._known = {as_genome(genome): score for genome, score in state["known"]}
        self._tau = state["tau"]


def cross_validated_tau(make_model: Callable[[], Any], features: Floats, scores: Floats) -> float | None:
    """Kendall's tau-b of scores [n] and of predictions by models that did not see them, from features [n, F].

    None where there are fewer than FEWEST scores, or all scores or all predictions are equal.
    """
    from scipy.stats import kendalltau  # slow to load
    from sklearn.model_selection import KFold, cross_val_predict

    if len(scores) < FEWEST or np.ptp(scores) == 0:
        return None
    folds = KFold(FOLDS, shuffle=True, random_state=0)
    predicted = _quietly(cross_val_predict, make_model(), features, scores, cv=folds)
    return float(kendalltau(scores, predicted).statistic) if np.ptp(predicted) > 0 else None


def _model_maker(name: str) -> Callable[[], Any]:
    """What makes a fresh regressor. Raises StrategyError for an unknown name."""
    if name not in MODELS:
        raise StrategyError(f"`model` is one of {', '.join(MODELS)}, but got {name!r}.")
    from sklearn.gaussian_process import GaussianProcessRegressor  # slow to load, and needed by no other strategy
    from sklearn.gaussian_process.kernels import RBF, WhiteKernel
    from sklearn.linear_model import RidgeCV

    if name == "ridge":
        return lambda: RidgeCV(alphas=np.logspace(-2, 3, 11))  # chosen by leave-one-out, in closed form
    kernel = RBF(3.0, (0.5, 30.0)) + WhiteKernel(0.3, (1e-3, 10.0))  # distance 3: some four genes differ
    return lambda: GaussianProcessRegressor(kernel, normalize_y=True)


def _quietly(fit: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Without the warnings of an optimum at a bound: cross-validation tells whether the model is of use."""
    from sklearn.exceptions import ConvergenceWarning  # slow to load

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return fit(*arguments, **options)
