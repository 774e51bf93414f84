"""Networks from the whole range of a search's scores: what the scores say of AP, not of the best alone.

NAS-FCOS, arXiv 1906.04423, Fig. 6; for families without a supernet, whose ranking `msnas rank` cannot measure.
"""

from collections.abc import Sequence

from evolution.history import History
from msnas.pipeline.entries import Choice
from msnas.pipeline.front_choice import best_scored, evenly
from msnas.runs.folder import SEARCH
from msnas.setup.open_run import OpenRun

ROLE = "spread"


def spread_choices(run: OpenRun, winners: Sequence[Choice]) -> list[Choice]:
    """`retrain.spread` networks that the search scored, evenly over the scores, worst first, winners left out.

    Of a search that went through several spaces, those of the last one. Scores are as the search saw them first.
    """
    number, family = run.setup.retrain.spread, run.setup.family
    if not number:
        return []
    paths = [path for name in family.histories if (path := run.folder / SEARCH / name).exists()]
    with History.read(paths[-1]) as history:
        scored = sorted((e.score[0], e.genome) for e in best_scored(history.evaluations()))
    known = {str(winner.architecture) for winner in winners}
    made = [(score, (score, family.scored(genome, winners[0].architecture))) for score, genome in scored]
    others = [one for one in made if str(one[1][1]) not in known]
    return [
        Choice(f"spread {place}", architecture, score, role=ROLE)
        for place, (score, architecture) in enumerate(evenly(others, number), start=1)
    ]
