"""The data as the family's networks read them, with a word about how far that is."""

from msnas.data.opening import Splits
from msnas.engine.devices import Hardware
from msnas.runs.progress import Progress
from msnas.setup.setup import Setup


def prepared(setup: Setup, splits: Splits, hardware: Hardware) -> Splits:
    """The splits; features of a frozen prefix are computed where no stage or run has done so before."""
    images = len(splits.train) + len(splits.val)
    with Progress("features", images) as progress:
        return setup.family.prepared(splits, setup.data, hardware, progress.update)
