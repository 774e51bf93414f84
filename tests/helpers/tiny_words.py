"""What makes every stage of any space small: sizes and counts, no switch."""

from collections.abc import Sequence

from msnas.config.compose import split
from msnas.config.run_config import run_config
from msnas.differences import flatten

TINY = (
    *("data.size=64", "data.train=20", "data.val=6", "data.short_side=64", "data.long_side=64", "data.workers=0"),
    *("data.search_val.minimum=6", "schedule.batch=4", "train.steps=2", "retrain.steps=1", "retrain.seeds=1"),
    "top_k=1",
    *("strategy.population_size=2", "strategy.children=2", "strategy.iterations=1", "strategy.n_random=1"),
    *("search.finalists=1", "search.replicates=1", "space.channels=8", "baseline.channels=8", "baseline.width=0.125"),
    *("candidate.iterations=1", "candidate.batch=4", "candidate.bn_images=16"),
    *("backbone.decoder_channels=8", "network.channels=8"),
    *("heads.channels=8", "heads.training=1", "heads.population_size=2", "heads.children=2", "heads.iterations=1"),
    *("candidate.last=1", "hardware.train_threads=1", "hardware.device=cpu"),
)


def fitting(small: Sequence[str], words: Sequence[str]) -> list[str]:
    """Those of `small` whose option exists under `words`."""
    known = flatten(run_config(words))
    return [word for word in small if split(word)[0] in known]
