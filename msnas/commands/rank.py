"""`msnas rank`: can the ranking be believed? Networks drawn inside the budget, scored as in the search and trained."""

import json

from msnas.call import Call
from msnas.pipeline.rank_networks import rank
from msnas.pipeline.rank_table import render
from msnas.setup.open_run import open_existing


def main(call: Call) -> int:
    """Rank, or go on ranking, in the run that the call's words name."""
    run = open_existing(call.words)
    with run.locked():
        table = rank(run, call.record, n=run.setup.arguments.n)
    print(json.dumps(table) if call.json else render(table))
    return 0
