"""Scoring one candidate: the supernet's weights on its path, briefly finetuned, then AP on held-out images.

MSNAS section 4.1: 100 iterations at batch 32 and lr 0.004, then mAP. Every candidate sees the same batches
in the same order and the same random draws (common random numbers), so that two scores differ by their
candidates alone; a score depends on nothing that was scored before it.
"""

import logging
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from evolution.strategy import FAILED, Evaluation, Genome
from msnas.data import coco_eval
from msnas.engine.batch_norm import estimate
from msnas.engine.batch_source import BatchSource
from msnas.engine.devices import Hardware, computing_with
from msnas.engine.evaluation import Judgeable, evaluate
from msnas.engine.loop import Training, train
from msnas.engine.recipe import Recipe
from msnas.errors import UserError
from msnas.seeds import derive

log = logging.getLogger(__name__)

AGNOSTIC_IOUS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75)
STAGE = "candidate"


class CostedSpace(Protocol):
    """A search space: what a genome stands for, and what it costs."""

    def decode(self, genome: Genome, /) -> Hashable:
        """The architecture."""

    def cost(self, genome: Genome, /) -> Any:
        """A `supernet.cost.Cost`."""


class CandidateEvaluator:
    """`evaluator(genome, replicate)` scores one candidate.

    supernet: trained; `extract(architecture)` gives copies of one path's weights as an ordinary detector, so
    that it is never changed here. make_batches: (batch size, seed) to batches of the finetuning
    images. score_data: the held-out images. space: knows a genome's architecture and exact cost. rungs: recipes of
    successive halving, in place of the one `recipe`. seed: the run's; with the replicate it decides every random draw.

    `times` holds the seconds of the last candidate by part; `rest` is what is neither step, image nor AP.
    """

    def __init__(
        self,
        supernet: nn.Module,
        make_batches: Callable[[int, int], BatchSource],
        score_data: Judgeable,
        *,
        space: CostedSpace,
        recipe: Recipe,
        rungs: Sequence[Recipe] = (),
        seed: int,
        hardware: Hardware | None = None,
    ) -> None:
        self.hardware = hardware or Hardware(threads=1)
        self.supernet: Any = self.hardware.place(supernet)
        self.make_batches, self.score_data = make_batches, score_data
        self.space, self.recipe, self.rungs, self.seed = space, recipe, tuple(rungs), seed
        self.times: dict[str, float] = {}
        self._made: dict[tuple[int, int], BatchSource] = {}

    def __call__(self, genome: Genome, replicate: int = 0, rung: int = 0) -> Evaluation:
        """Scores; whatever goes wrong is a failed evaluation with its reason, so that a search goes on."""
        began = time.perf_counter()
        known: dict[str, Any] = {"genome": genome, "replicate": replicate, "rung": rung, "seed": self.seed}
        recipe = self.rungs[rung] if self.rungs else self.recipe
        known["recipe"] = self.described(recipe)
        try:
            with computing_with(self.hardware.threads):
                numbers = self._score(self.space.decode(genome), replicate, recipe)
            known["cost"] = self.space.cost(genome).by_name()
            known |= {"score": (numbers[recipe.metric],), "metrics": numbers}
        except Exception as error:  # out of memory, a loss that is not finite, an image that cannot be read
            log.warning("Candidate %s failed: %s", genome, error, exc_info=not isinstance(error, UserError))
            known |= {"status": FAILED, "reason": f"{type(error).__name__}: {error}"[:500]}
            if self.hardware.device.type == "cuda":
                torch.cuda.empty_cache()
        return Evaluation(**known, seconds=time.perf_counter() - began)

    def described(self, recipe: Recipe) -> dict[str, Any]:
        """The recipe as the history keeps it, with everything else that a score depends on."""
        bn_images = recipe.bn_images // recipe.bn_batch * recipe.bn_batch if recipe.estimates else 0
        return {
            "recipe": recipe.name,
            "metric": recipe.metric,
            "iterations": recipe.iterations if recipe.finetunes else 0,
            "batch": recipe.batch,
            "optimizer": recipe.optimizer,
            "lr": recipe.lr * recipe.batch / 32,
            "momentum": recipe.momentum,
            "weight_decay": recipe.weight_decay,
            "clip": recipe.clip,
            "bn_images": bn_images,
            "bn_batch": recipe.bn_batch,
            "score_images": len(self.score_data),
            "score_batch": recipe.score_batch,
            "threads": self.hardware.threads,
            "device": self.hardware.device.type,
            "precision": self.hardware.precision,
        }

    def steps_per_second(self, seconds: float) -> float:
        """How often a second the least step of a candidate is made here, by which `workers_per_gpu=auto` measures."""
        recipe = replace(self.recipe, iterations=min(1, self.recipe.iterations), bn_images=self.recipe.bn_batch)
        space: Any = self.space
        with computing_with(self.hardware.threads):
            model = self.supernet.extract(space.decode(space.sample(np.random.default_rng(0))))
            done, began = 0, time.perf_counter()
            while not done or time.perf_counter() - began < seconds:
                self._adapt(model, recipe, replicate=0)
                if not (recipe.finetunes or recipe.estimates):
                    evaluate(model, self.score_data, hardware=self.hardware, batch=recipe.score_batch)
                done += 1
        return done / (time.perf_counter() - began)

    def _score(self, architecture: Hashable, replicate: int, recipe: Recipe) -> dict[str, float]:
        """The twelve COCO numbers, and the recipe's own."""
        began = time.perf_counter()
        model: nn.Module = self.supernet.extract(architecture)
        self._adapt(model, recipe, replicate)
        judged = evaluate(model, self.score_data, hardware=self.hardware, batch=recipe.score_batch)
        numbers, scoring = dict(judged.numbers), time.perf_counter()
        if recipe.metric == "ap_agnostic":
            numbers[recipe.metric] = class_agnostic(self.score_data, judged.detections)
        self.times |= {"detect": judged.seconds}
        self.times["score"] = judged.score_seconds + time.perf_counter() - scoring
        self.times["rest"] = time.perf_counter() - began - sum(self.times.values())
        return numbers

    def _adapt(self, model: nn.Module, recipe: Recipe, replicate: int) -> None:
        """Finetune the path and estimate its statistics, as the recipe says."""
        hardware = self.hardware
        self.times = {"finetune": 0.0, "statistics": 0.0}
        if recipe.finetunes:
            batches = self._batches(recipe.batch, replicate, "finetune")
            training = Training(
                schedule=recipe.schedule(),
                seed=self.seed,
                stage=STAGE,
                replicate=replicate,
                restart_statistics=True,
                hardware=hardware,
            )
            trained = train(model, batches, training)
            self.times["finetune"] = trained.seconds
        if recipe.estimates:
            estimating, steps = time.perf_counter(), recipe.bn_images // recipe.bn_batch
            batches = self._batches(recipe.bn_batch, replicate, "statistics")
            estimate(model, batches, steps, seed=self.seed, replicate=replicate, hardware=hardware)
            self.times["statistics"] = time.perf_counter() - estimating

    def _batches(self, size: int, replicate: int, purpose: str) -> BatchSource:
        """Batches of this replicate, made once: a large data set's order of an epoch takes its time."""
        seed = derive(self.seed, STAGE, replicate, purpose)
        if (size, seed) not in self._made:
            self._made[size, seed] = self.make_batches(size, seed)
        return self._made[size, seed]


def class_agnostic(data: Judgeable, detections: Sequence[dict[str, Any]]) -> float:
    """The AP of boxes whatever their class, over the IoUs 0.50, 0.55, ..., 0.75."""
    truth = data.ground_truth()
    return coco_eval.evaluate(truth, detections, class_agnostic=True, thresholds=AGNOSTIC_IOUS)["ap"]
