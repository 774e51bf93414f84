"""What NAS-FCOS's paper shows of a head's search (arXiv 1906.04423, Fig. 5), as numbers."""

from collections.abc import Sequence

from evolution.strategy import Genome

PERIOD = 50  # architectures, as in the paper


def fully_shared(heads: Sequence[Genome], period: int = PERIOD) -> list[float]:
    """The share of heads that share all their weights between levels (sharing index 0), period by period.

    heads: genomes of a head space in the order they were sampled, repetitions included. A last period that is not full
    counts as far as it goes.
    """
    shared = [genome[-1] == 0 for genome in heads]
    periods = [shared[start : start + period] for start in range(0, len(shared), period)]
    return [sum(part) / len(part) for part in periods]
