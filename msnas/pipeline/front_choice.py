"""Which networks stand for a search's front: a few of those that nothing as cheap beats, evenly spread by cost."""

from collections.abc import Sequence
from typing import TypeVar

from evolution.history import History
from evolution.strategy import Evaluation
from msnas.errors import RunError
from msnas.families.front import pareto_front
from msnas.pipeline.entries import Choice
from msnas.runs.folder import FEWEST_ON_FRONT, HISTORY, SEARCH
from msnas.runs.tables import amount
from msnas.setup.open_run import OpenRun

SPREAD = 1.2  # how many times the cheapest the dearest must cost: below it there is one size of networks
SAME_SIZE = 0.1  # how far MACs may differ, as a share, for two networks to have the same size
ADVICE = "search with strategy=nsga2 and a ceiling, such as budget.mode=ceiling"
T = TypeVar("T")


def front_choices(run: OpenRun) -> list[Choice]:
    """The networks to train, the cheapest first. Raises RunError where the run's search has no front."""
    setup, metric = run.setup, _metric(run)
    if setup.names_architectures or len(setup.family.histories) > 1:
        why = "its architectures are named" if setup.names_architectures else "its search goes through several spaces"
        raise RunError(f"Run {run.name} has no front, since {why}; {ADVICE}.")
    with History.read(run.folder / SEARCH / HISTORY) as history:
        scored = [e for e in best_scored(history.evaluations()) if setup.bounded_space.is_valid(e.genome)]
    points = [(float(e.cost[metric]), e.score[0]) for e in scored]
    front = sorted((points[index][0], scored[index].genome, points[index][1]) for index in pareto_front(points))
    costs = [cost for cost, _, _ in front]
    if len(front) < FEWEST_ON_FRONT or costs[-1] < SPREAD * costs[0]:
        between = f", from {amount(costs[0])} to {amount(costs[-1])} {metric}" if costs else ""
        raise RunError(
            f"Run {run.name} has no front: of {len(scored)} evaluated networks {len(front)} are not beaten at their "
            f"cost{between}, but {FEWEST_ON_FRONT} that differ by a factor of {SPREAD:g} are needed; {ADVICE}."
        )
    kept = evenly(list(zip(costs, front, strict=True)), setup.front.networks)
    decode = setup.space.decode
    return [
        Choice(f"front {number}", decode(genome), score, role="front")
        for number, (_, genome, score) in enumerate(kept, start=1)
    ]


def _metric(run: OpenRun) -> str:
    """The cost that the front is drawn over: the first that the strategy keeps low, else MACs."""
    return str(next(iter(run.setup.strategy.options.get("minimise", ())), "macs"))


def best_scored(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """The scores that the search saw, one a candidate; with several rungs those of the last."""
    last = max((e.rung for e in evaluations), default=0)
    return list({e.genome: e for e in evaluations if e.ok and e.replicate == 0 and e.rung == last}.values())


def evenly(items: Sequence[tuple[float, T]], number: int) -> list[T]:
    """So many of the items, each with its cost and by rising cost, evenly spread over the costs; both ends are kept.

    Each of `number` equally distant costs takes the nearest item that is left.
    """
    if len(items) <= number:
        return [item for _, item in items]
    low, high = items[0][0], items[-1][0]
    left = dict(enumerate(cost for cost, _ in items))
    taken = []
    for place in (0, number - 1, *range(1, number - 1)):  # the ends first
        wanted = low + (high - low) * place / (number - 1)
        nearest = min(left, key=lambda index: (abs(left[index] - wanted), index))
        taken.append(nearest)
        del left[nearest]
    return [items[index][1] for index in sorted(taken)]
