"""What scores candidates: in this process, or in several side by side."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from evolution.driver import EvaluateMany
from msnas.data.batches import batches_of
from msnas.data.opening import Splits, open_data
from msnas.engine.detector_scoring import CandidateEvaluator
from msnas.engine.recipe import Recipe
from msnas.engine.workers import evaluating
from msnas.errors import ConfigError
from msnas.families.candidate_family import CandidateFamily
from msnas.families.search_settings import SearchSettings
from msnas.seeds import derive

Weights = Path | Mapping[str, Tensor] | None


def evaluate_many(
    family: CandidateFamily, settings: SearchSettings, splits: Splits
) -> AbstractContextManager[EvaluateMany]:
    """The engine of a search: this process, `hardware.workers` others of this machine, or those of a Ray cluster.

    The supernet's weights are a file that every process of this machine maps into its memory.
    """
    if settings.hardware.engine == "ray":
        return _on_ray(family, settings, splits)
    if settings.hardware.workers == 0:
        return evaluating(partial(evaluator, family, settings, settings.weights, splits))
    return evaluating(partial(_in_a_worker, family, settings), workers=settings.hardware.workers)


def _in_a_worker(family: CandidateFamily, settings: SearchSettings) -> CandidateEvaluator:
    """What a fresh process builds, from values alone."""
    splits, hardware = open_data(settings.data, seed=settings.seed), settings.hardware.for_candidates()
    splits = family.prepared(splits, settings.data, hardware)
    return evaluator(family, settings, settings.weights, splits)


def _on_ray(family: CandidateFamily, settings: SearchSettings, splits: Splits) -> AbstractContextManager[EvaluateMany]:
    from msnas.engine.ray_workers import evaluating_on_ray  # an extra

    hardware = settings.hardware
    return evaluating_on_ray(
        partial(evaluator, family, settings),
        load_file(settings.weights) if family.pretraining == "supernet" else None,
        splits,
        address=hardware.address,
        workers=hardware.workers,
        workers_per_gpu=hardware.workers_per_gpu,
        threads=hardware.threads or 1,
        use_gpus=hardware.device != "cpu",
    )


def evaluator(
    family: CandidateFamily, settings: SearchSettings, weights: Weights, splits: Splits, *, recipe: Recipe | None = None
) -> CandidateEvaluator:
    """What scores candidates. weights: None: fresh ones; recipe: None: the family's."""
    return CandidateEvaluator(
        family.candidates(weights, splits.train.classes, seed=settings.seed),
        lambda batch, seed: batches_of(settings.data, splits.supernet_train, batch=batch, seed=seed),
        splits.search_val,
        space=family.space,
        again_data=splits.selection_val,
        recipe=recipe or family.recipe,
        rungs=() if recipe else rungs_of(family, settings),
        seed=derive(settings.seed, "search"),
        hardware=settings.hardware.for_candidates(),
    )


def rungs_of(family: CandidateFamily, settings: SearchSettings) -> tuple[Recipe, ...]:
    """With `fidelity=halving` the recipe of each rung, else none. Raises ConfigError."""
    shares, last = settings.rungs, family.recipe
    if not shares:
        return ()
    if family.pretraining != "supernet" or not last.finetunes:
        got = f"a space of {type(family).__name__}, candidate.recipe={last.kind}"
        raise ConfigError(
            f"fidelity=halving needs a space with a supernet and candidates that are finetuned, but got {got}."
        )
    if len(shares) < 2 or list(shares) != sorted({*shares}) or shares[0] < 0 or shares[-1] != 1:
        raise ConfigError(
            f"candidate.rungs are growing shares that end in 1, such as [0, 0.25, 1], but got {list(shares)}."
        )
    steps = [round(share * last.iterations) for share in shares]
    return tuple(replace(last, iterations=n) if n else replace(last, kind="bn", iterations=0) for n in steps)
