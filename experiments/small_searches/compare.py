"""What each strategy finds of a known optimum within the samples of a small scale, beside random search.

    python experiments/small_searches/compare.py [--seeds 20] [SCALE...]

The score of an architecture is the share of its genes that equal those of a target, another one for every seed.
"""

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from evolution.strategy import Evaluation, Genome, Strategy
from msnas.config.compose import build, compose
from msnas.setup.setup import Setup

SPACES = {
    "cells": ["experiment=nas_fpn"],
    "pyramids": ["experiment=nas_fcos"],
    "heads": ["experiment=nas_fcos", "space=nas_fcos_head"],
}


def strategies(setup: Setup) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Name and options of each, of about as many samples as the scale has."""
    shipped = setup.strategy.options
    sizes = {name: shipped[name] for name in ("population_size", "children", "iterations")}
    one_random = {**sizes, "children": sizes["children"] - 1, "n_random": 1}
    predicted = {**sizes, "n_random": 0}

    def of(name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        return {**compose([f"strategy={name}"]).strategy, **changes}

    yield "random", of("random", sizes)
    for size in (1, 2, 4):
        yield f"regularized, tournaments of {size}", of("regularized", {**sizes, "sample_size": size})
    yield "algorithm1", of("algorithm1", one_random)
    yield "predictor", of("predictor", predicted)


def found(strategy: Strategy, target: Genome, limit: int) -> float:
    """The best score of a search of at most `limit` samples and a generation more."""
    best, asked = 0.0, 0
    while asked < limit and (genomes := strategy.ask()):
        asked += len(genomes)
        scores = [float(np.mean(np.equal(genome, target))) for genome in genomes]
        strategy.tell([Evaluation(genome=g, score=(s,)) for g, s in zip(genomes, scores, strict=True)])
        best = max(best, *scores)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scales", nargs="*", default=["tiny", "small"])
    parser.add_argument("--seeds", type=int, default=20)
    options = parser.parse_args()
    for scale in options.scales:
        for what, words in SPACES.items():
            setup = Setup(compose([*words, f"scale={scale}", "input=128x128", "data.root=D"]))
            sizes, space = setup.strategy.options, setup.space
            limit = sizes["population_size"] + sizes["children"] * sizes["iterations"]
            for name, chosen in strategies(setup):
                bests = []
                for seed in range(options.seeds):
                    target = space.sample(np.random.default_rng(1000 + seed))
                    bests.append(found(build(chosen, space=space, seed=seed), target, limit))
                error = np.std(bests, ddof=1) / len(bests) ** 0.5
                print(f"| {scale} | {what} | {limit} | {name} | {np.mean(bests):.3f} ± {error:.3f} |", flush=True)


if __name__ == "__main__":
    main()
