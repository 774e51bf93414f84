"""How sure an AP is: detections matched once by pycocotools, then scored on draws of the held-out images."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from msnas.data.image_scores import ImageScores, image_draws
from msnas.report.gain import gain_parts
from msnas.report.paired_draws import Interval, PairedDraws

Results = list[dict[str, Any]]
MOST, FEWEST, WORK = 500, 100, 2e7  # draws: fewer where there are many detections (draws x detections)


def ap_intervals(
    truth: Any,
    results: Mapping[str, Mapping[int, Results]],
    *,
    against: str | None,
    roles: Mapping[str, str | None] | None = None,
) -> dict[str, dict[str, Interval]]:
    """For every network with detections: `ap` and, beside the network `against`, `difference` to it (paired).

    results: by network and seed, COCO results; a network's AP is the mean over its seeds. Networks with a seed that
    detected nothing are left out. roles: of the networks, as `gain_parts` takes them; the winner then has `heads`,
    `trunk` and `search` as well.
    """
    found = {name: seeds for name, seeds in results.items() if all(seeds.values())}
    if not found:
        return {}
    draws = _paired_draws(truth, found)
    intervals = {name: {"ap": draws.interval([name])} for name in found}
    if against in found:
        for name in found.keys() - {against}:
            intervals[name]["difference"] = draws.interval([name], [against])
    known = [(name, role) for name, role in (roles or {}).items() if name in found]
    winner = next((name for name, role in known if role == "winner"), None)
    if winner is not None:
        parts = gain_parts(known).items()
        intervals[winner] |= {part: draws.interval(plus, minus) for part, (plus, minus) in parts}
    return intervals


def sized_intervals(
    truth: Any, results: Mapping[str, Mapping[int, Results]], pairs: Mapping[str, str]
) -> dict[str, dict[str, Interval]]:
    """As `ap_intervals`, but `difference` is to the network that `pairs` names for each."""
    found = {name: seeds for name, seeds in results.items() if all(seeds.values())}
    if not found:
        return {}
    draws = _paired_draws(truth, found)
    intervals = {name: {"ap": draws.interval([name])} for name in found}
    for name, other in pairs.items():
        if name in found and other in found:
            intervals[name]["difference"] = draws.interval([name], [other])
    return intervals


def _paired_draws(truth: Any, results: Mapping[str, Mapping[int, Results]]) -> PairedDraws:
    """Every training scored on the same draws of the images."""
    models = {name: {seed: ImageScores(truth, r) for seed, r in seeds.items()} for name, seeds in results.items()}
    every = [model for seeds in models.values() for model in seeds.values()]
    images, most = every[0].images, max(model.detections for model in every)
    weights = [np.ones(images), *image_draws(images, _draws(most))]
    return PairedDraws(
        {
            name: {seed: np.array([model.ap(weight) for weight in weights]) for seed, model in seeds.items()}
            for name, seeds in models.items()
        }
    )


def _draws(detections: int) -> int:
    return int(min(MOST, max(FEWEST, WORK // max(detections, 1))))
