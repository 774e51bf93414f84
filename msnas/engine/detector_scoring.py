"""Scoring one candidate: the supernet's weights on its path, briefly finetuned, then AP on held-out images.

MSNAS section 4.1: 100 iterations at batch 32 and lr 0.004, then mAP. Every candidate sees the same batches
in the same order and the same random draws (common random numbers), so that two scores differ by their
candidates alone; a score depends on nothing that was scored before it.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from torch import nn

from msnas.data import coco_eval
from msnas.data.image_scores import ap_on_draws
from msnas.engine.batch_norm import estimate
from msnas.engine.batch_source import BatchSource
from msnas.engine.devices import Hardware, computing_with
from msnas.engine.evaluation import EvaluationData, FirstImages, detect, evaluate
from msnas.engine.hardware_options import refuse_fp16
from msnas.engine.loop import Training, train
from msnas.engine.recipe import Recipe
from msnas.engine.scoring import CostedSpace, Evaluator, Measured
from msnas.seeds import derive

AGNOSTIC_IOUS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75)
STAGE = "candidate"
IMAGE_DRAWS = 100  # for the error of a finalist's AP over images


class CandidateEvaluator(Evaluator):
    """`evaluator(genome, replicate)` scores one candidate.

    supernet: trained; `extract(architecture)` gives copies of one path's weights as an ordinary detector, so
    that it is never changed here. make_batches: (batch size, seed) to batches of the finetuning
    images. score_data: the held-out images. again_data: those that replicates are scored on, which no generation has
    seen; None: the same. rungs: recipes of successive halving, in place of the one `recipe`.
    In `times`, `rest` is what is neither step, image nor AP. Raises ConfigError for fp16 with a recipe that finetunes.
    """

    def __init__(
        self,
        supernet: nn.Module,
        make_batches: Callable[[int, int], BatchSource],
        score_data: EvaluationData,
        *,
        space: CostedSpace,
        recipe: Recipe,
        again_data: EvaluationData | None = None,
        rungs: Sequence[Recipe] = (),
        seed: int,
        hardware: Hardware | None = None,
    ) -> None:
        super().__init__(space, seed=seed, hardware=hardware)
        if any(one.finetunes for one in (recipe, *rungs)):
            refuse_fp16(self.hardware.precision)
        self.supernet: Any = supernet
        self.make_batches, self.score_data = make_batches, score_data
        self.again_data = score_data if again_data is None else again_data
        self.recipe, self.rungs = recipe, tuple(rungs)
        self._made: dict[tuple[int, int], BatchSource] = {}

    def described(self, rung: int = 0) -> dict[str, Any]:
        """The recipe as the history keeps it, with everything else that a score depends on."""
        recipe = self._recipe_of(rung)
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
            "again_images": len(self.again_data),
            "score_batch": recipe.score_batch,
            "threads": self.hardware.threads,
            **self.hardware.kind,
        }

    def steps_per_second(self, seconds: float) -> float:
        """How often a second a small candidate is made here: one step and one batch of images of a whole one.

        `workers_per_gpu=auto` measures by it.
        """
        recipe = replace(self.recipe, iterations=min(1, self.recipe.iterations), bn_images=self.recipe.bn_batch)
        space: Any = self.space
        few = FirstImages(self.score_data, recipe.score_batch)
        with computing_with(self.hardware.threads):
            model = self._extract(space.decode(space.sample(np.random.default_rng(0))))
            done, began = 0, time.perf_counter()
            while not done or time.perf_counter() - began < seconds:
                self._adapt(model, recipe, replicate=0)
                detect(model, few, hardware=self.hardware, batch=recipe.score_batch)
                done += 1
        return done / (time.perf_counter() - began)

    def measured(self, architecture: Any, replicate: int, rung: int) -> Measured:
        """The recipe's metric, and beside it the twelve COCO numbers; a replicate also has draws of the images."""
        began, recipe = time.perf_counter(), self._recipe_of(rung)
        data = self.again_data if replicate else self.score_data
        model: nn.Module = self._extract(architecture)
        self._adapt(model, recipe, replicate)
        evaluated = evaluate(model, data, hardware=self.hardware, batch=recipe.score_batch)
        numbers, scoring = dict(evaluated.numbers), time.perf_counter()
        if recipe.metric == "ap_agnostic":
            numbers[recipe.metric] = class_agnostic(data, evaluated.detections)
        draws: tuple[float, ...] = ()
        if replicate and recipe.metric == "ap":
            draws = ap_on_draws(data.ground_truth(), evaluated.detections, IMAGE_DRAWS)
        self.times |= {"detect": evaluated.seconds}
        self.times["score"] = evaluated.score_seconds + time.perf_counter() - scoring
        self.times["rest"] = time.perf_counter() - began - sum(self.times.values())
        return Measured(numbers[recipe.metric], numbers, draws)

    def _recipe_of(self, rung: int) -> Recipe:
        return self.rungs[rung] if self.rungs else self.recipe

    def _extract(self, architecture: Any) -> nn.Module:
        """The path as a detector; the first one places the supernet, in its turn on the GPU."""
        path: nn.Module = self.hardware.place(self.supernet).extract(architecture)  # type: ignore[operator]
        return path

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


def class_agnostic(data: EvaluationData, detections: Sequence[dict[str, Any]]) -> float:
    """The AP of boxes whatever their class, over the IoUs 0.50, 0.55, ..., 0.75."""
    truth = data.ground_truth()
    return coco_eval.evaluate(truth, detections, class_agnostic=True, thresholds=AGNOSTIC_IOUS)["ap"]
