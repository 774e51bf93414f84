"""From the configuration to what scores candidates: in this process, or in several side by side."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf
from safetensors.torch import load_file
from torch import Tensor

from msnas.data.opening import Splits
from msnas.engine.candidate import CandidateEvaluator
from msnas.engine.checkpoint import load_weights
from msnas.engine.devices import Hardware
from msnas.engine.recipe import Recipe
from msnas.engine.workers import evaluating
from msnas.errors import ConfigError
from msnas.families.family import family_of
from msnas.families.nas_fpn import cell_family as nas_fpn
from msnas.seeds import derive
from msnas.setup.networks import first
from msnas.setup.space import plain_space
from msnas.setup.training import batches_of, hardware_of, open_splits


def evaluate_many(config: DictConfig, splits: Splits, weights: Path) -> AbstractContextManager[Any]:
    """The engine of a search: this process, `hardware.workers` others of this machine, or those of a Ray cluster.

    weights: the supernet's, a file that every process of this machine maps into its memory.
    """
    if config.hardware.engine not in ("local", "ray"):
        raise ConfigError(f"hardware.engine is local or ray, but got {config.hardware.engine!r}.")
    if config.hardware.engine == "ray":
        return _on_ray(config, splits, weights)
    if config.hardware.workers == 0:
        return evaluating(partial(evaluator, config, weights, splits))
    plain: Any = OmegaConf.to_container(config, resolve=True)
    return evaluating(partial(_in_a_worker, plain, weights), workers=config.hardware.workers)


def _in_a_worker(plain: dict[str, Any], weights: Path) -> CandidateEvaluator:
    """What a fresh process builds, from plain values alone."""
    config = OmegaConf.create(plain)
    return evaluator(config, weights, open_splits(config, say=False))


def _on_ray(config: DictConfig, splits: Splits, weights: Path) -> AbstractContextManager[Any]:
    from msnas.engine.ray_workers import evaluating_on_ray

    plain: Any = OmegaConf.to_container(config, resolve=True)
    hardware = config.hardware
    return evaluating_on_ray(
        partial(_on_a_node, plain),
        load_file(weights) if family_of(config).SHARES_WEIGHTS else None,
        splits,
        address=OmegaConf.select(config, "ray.address"),
        workers=hardware.workers,
        workers_per_gpu=hardware.get("workers_per_gpu", "auto"),
        threads=hardware.threads or 1,
        use_gpus=hardware.device != "cpu",
    )


def _on_a_node(plain: dict[str, Any], weights: Mapping[str, Tensor] | None, splits: Splits) -> CandidateEvaluator:
    """What a worker of a cluster builds, from what its node has fetched."""
    return evaluator(OmegaConf.create(plain), weights, splits)


def evaluator(
    config: DictConfig, weights: Path | Mapping[str, Tensor] | None, splits: Splits, *, recipe: Recipe | None = None
) -> CandidateEvaluator:
    """What scores candidates. weights: None: fresh ones; recipe: None: that of the configuration."""
    hardware: Hardware = hardware_of(config, threads=config.hardware.threads)
    if not family_of(config).SHARES_WEIGHTS:
        return cast(CandidateEvaluator, nas_fpn.evaluator(config, splits, space=plain_space(config), hardware=hardware))
    model: Any = first(config, splits.train.classes)
    if isinstance(weights, Path):
        load_weights(weights, model)
    elif weights is not None:
        model.load_state_dict(weights)
    return CandidateEvaluator(
        model,
        lambda batch, seed: batches_of(config, splits.supernet_train, batch=batch, seed=seed),
        splits.search_val,
        space=plain_space(config),
        recipe=recipe or recipe_of(config),
        rungs=() if recipe else rungs_of(config),
        seed=derive(config.seed, "search"),
        hardware=hardware,
    )


def rungs_of(config: DictConfig) -> tuple[Recipe, ...]:
    """With `fidelity=halving` the recipe of each rung, else none. Raises ConfigError."""
    if config.fidelity == "full":
        return ()
    shares, last = list(config.candidate.rungs), recipe_of(config)
    if config.fidelity != "halving":
        raise ConfigError(f"fidelity is full or halving, but got {config.fidelity!r}.")
    if not family_of(config).SHARES_WEIGHTS or not last.finetunes:
        got = f"space={config.space_name} candidate.recipe={last.kind}"
        raise ConfigError(
            f"fidelity=halving needs a space with a supernet and candidates that are finetuned, but got {got}."
        )
    if len(shares) < 2 or shares != sorted({*shares}) or shares[0] < 0 or shares[-1] != 1:
        raise ConfigError(f"candidate.rungs are growing shares that end in 1, such as [0, 0.25, 1], but got {shares}.")
    steps = [round(share * last.iterations) for share in shares]
    return tuple(replace(last, iterations=n) if n else replace(last, kind="bn", iterations=0) for n in steps)


def recipe_of(config: DictConfig) -> Recipe:
    """How every candidate is scored."""
    return cast(Recipe, family_of(config).recipe(config))
