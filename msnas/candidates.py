"""From the configuration to what scores candidates: in this process, or in several side by side."""

from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from msnas import nas_fpn
from msnas.data.coco import Splits
from msnas.engine.candidate import CandidateEvaluator, Recipe
from msnas.engine.checkpoint import load_weights
from msnas.engine.devices import Hardware
from msnas.engine.workers import evaluating
from msnas.family import family_of
from msnas.networks import supernet
from msnas.seeds import derive
from msnas.setting import batches_of, hardware_of, open_splits
from msnas.spaces import plain_space


def evaluate_many(config: DictConfig, splits: Splits, weights: Path) -> AbstractContextManager[Any]:
    """The engine of a search: `hardware.workers` processes, 0 for this one, where the data is already open.

    weights: the supernet's, a file that every process maps into its memory.
    """
    if config.hardware.workers == 0:
        return evaluating(partial(evaluator, config, weights, splits))
    plain: Any = OmegaConf.to_container(config, resolve=True)
    return evaluating(partial(_in_a_worker, plain, weights), workers=config.hardware.workers)


def _in_a_worker(plain: dict[str, Any], weights: Path) -> CandidateEvaluator:
    """What a fresh process builds, from plain values alone."""
    config = OmegaConf.create(plain)
    return evaluator(config, weights, open_splits(config, say=False))


def evaluator(
    config: DictConfig, weights: Path | None, splits: Splits, *, recipe: Recipe | None = None
) -> CandidateEvaluator:
    """What scores candidates. weights: None: fresh ones; recipe: None: that of the configuration."""
    hardware: Hardware = hardware_of(config, threads=config.hardware.threads)
    if not family_of(config).SHARES_WEIGHTS:
        return cast(CandidateEvaluator, nas_fpn.evaluator(config, splits, space=plain_space(config), hardware=hardware))
    model: Any = supernet(config, splits.train.classes)
    if weights is not None:
        load_weights(weights, model)
    return CandidateEvaluator(
        model,
        lambda batch, seed: batches_of(config, splits.supernet_train, batch=batch, seed=seed),
        splits.search_val,
        space=plain_space(config),
        recipe=recipe or recipe_of(config),
        seed=derive(config.seed, "search"),
        hardware=hardware,
    )


def recipe_of(config: DictConfig) -> Recipe:
    """How every candidate is scored."""
    return cast(Recipe, family_of(config).recipe(config))
