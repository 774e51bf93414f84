"""Scoring one decoder: trained from scratch on cached features for a few hundred steps, then judged on held-out ones.

NAS-FCOS, arXiv 1906.04423, sections 3.3 and 4.1.1. Every decoder begins with the same random numbers and sees the same
batches, so that two scores differ by their decoders alone; a score depends on nothing that was scored before it.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from msnas.data import coco_eval
from msnas.data.dataset import DetectionDataset
from msnas.detectors.fcos import FCOS
from msnas.detectors.fcos_targets import losses
from msnas.engine.devices import Hardware
from msnas.engine.hardware_options import refuse_fp16
from msnas.engine.scoring import CostedSpace, Evaluator, Measured
from msnas.errors import TrainingError
from msnas.families.nas_fcos.decoder_features import Batch, DecoderFeatures
from msnas.families.nas_fcos.decoder_recipe import DecoderRecipe
from msnas.seeds import derive
from supernet.nas_fcos.fcos_encoder import DecoderNet

STAGE = "decoder"
LOOK_EVERY = 50  # steps between two looks at the losses, each of which waits for the GPU
PARTS = ("loss_classifier", "loss_box_reg", "loss_centerness")


@dataclass(frozen=True)
class DecoderData:
    """What decoders are trained and judged on: cached features, and the held-out images' ground truth for AP.

    detector: turns predictions into detections; its own weights are not used.
    """

    train: DecoderFeatures
    held_out: DecoderFeatures
    images: DetectionDataset
    detector: FCOS


class DecoderEvaluator(Evaluator):
    """`evaluator(genome, replicate)` scores one decoder.

    make_decoder: architecture to a fresh module. Raises ConfigError for fp16.
    """

    def __init__(
        self,
        data: DecoderData,
        make_decoder: Callable[[Any], DecoderNet],
        *,
        space: CostedSpace,
        recipe: DecoderRecipe,
        seed: int,
        hardware: Hardware | None = None,
    ) -> None:
        super().__init__(space, seed=seed, hardware=hardware)
        refuse_fp16(self.hardware.precision)
        self.data, self.make_decoder, self.recipe = data, make_decoder, recipe

    def described(self, rung: int = 0) -> dict[str, Any]:
        """The recipe as the history keeps it, with everything else that a score depends on."""
        return {
            **asdict(self.recipe),
            "train_images": self.data.train.images,
            "views": self.data.train.views,
            "score_images": self.data.held_out.images,
            "threads": self.hardware.threads,
            **self.hardware.kind,
        }

    def measured(self, architecture: Any, replicate: int, rung: int) -> Measured:
        """The reward, and beside it the losses, or COCO's numbers."""
        began = time.perf_counter()
        decoder = self.train(architecture, replicate)
        trained = time.perf_counter()
        metrics = scores(decoder, self.data, self.recipe, self.hardware)
        self.times = {"train": trained - began, "score": time.perf_counter() - trained}
        return Measured(metrics["reward"], metrics)

    def train(self, architecture: Any, replicate: int = 0) -> DecoderNet:
        """A fresh decoder, trained: the average of its weights."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(self.seed, STAGE, replicate, "weights"))
            decoder = self.make_decoder(architecture)
        return train_decoder(
            decoder,
            self.data.train,
            self.recipe,
            seed=derive(self.seed, STAGE, replicate),
            hardware=self.hardware,
        )


def scores(decoder: DecoderNet, data: DecoderData, recipe: DecoderRecipe, hardware: Hardware) -> dict[str, float]:
    """What a trained decoder is worth on meta-val: its losses or COCO's numbers, and the `reward` that they make."""
    predict = Predictor(decoder, data.held_out, recipe.score_batch, hardware)
    metrics = predict.losses()
    metrics["reward"] = -sum(metrics.values())  # eq. 2
    if recipe.reward == "ap":
        metrics |= predict.coco_numbers(data.detector, data.images)
        metrics["reward"] = metrics["ap"]
    return metrics


def train_decoder(
    decoder: DecoderNet,
    cache: DecoderFeatures,
    recipe: DecoderRecipe,
    *,
    seed: int,
    hardware: Hardware,
    progress: Callable[[int, str], None] | None = None,
) -> DecoderNet:
    """Train `decoder` on cached features by Adam; returns the moving average of its weights.

    Norms' statistics are those of the weights as they were trained, not averaged a second time. Raises TrainingError
    for a loss that is not finite.
    """
    hardware.place(decoder).train()
    averaging = get_ema_multi_avg_fn(recipe.polyak)  # type: ignore[no-untyped-call]
    average = AveragedModel(decoder, multi_avg_fn=averaging)
    optimizer = torch.optim.Adam(decoder.parameters(), lr=recipe.lr, fused=True)
    rows = cache.training_rows(recipe.batch, seed)
    unseen: list[Tensor] = []
    for step in range(recipe.iterations):
        batch = cache.batch(next(rows), hardware.device, decoder.num_inputs)
        with hardware.autocast():
            logits, distances, centerness = decoder(batch.features)
        parts = losses(logits, distances, centerness, batch.targets, batch.where)
        loss = torch.stack(list(parts.values())).sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        average.update_parameters(decoder)
        unseen.append(loss.detach())
        if len(unseen) == LOOK_EVERY or step + 1 == recipe.iterations:
            _check(unseen, first=step + 1 - len(unseen))
            unseen.clear()
        if progress is not None:
            progress(step + 1, "steps of a decoder")
    assert isinstance(average.module, DecoderNet)
    return average.module


def _check(unseen: Sequence[Tensor], *, first: int) -> None:
    """Raise TrainingError for the earliest of these losses that is not finite; `first`: the step of the first one."""
    for step, loss in enumerate(torch.stack([*unseen]).tolist(), start=first):
        if not math.isfinite(loss):
            raise TrainingError(f"Every loss must be finite, but got {loss} at step {step} of a decoder.")


class Predictor:
    """A trained decoder over a cache, `batch` rows at once."""

    def __init__(self, decoder: DecoderNet, cache: DecoderFeatures, batch: int, hardware: Hardware) -> None:
        self.decoder, self.cache, self.batch = decoder, cache, batch
        decoder.eval()
        self.hardware = hardware

    def losses(self) -> dict[str, float]:
        """The three losses, each the mean of its batches' weighted by their images."""
        totals = dict.fromkeys(PARTS, 0.0)
        for batch, predictions in self._batches():
            parts = losses(*predictions, batch.targets, batch.where)
            for name in PARTS:
                totals[name] += parts[name].item() * len(batch.rows) / len(self.cache.sizes)
        return totals

    def coco_numbers(self, detector: FCOS, dataset: DetectionDataset) -> dict[str, float]:
        """The twelve COCO numbers on the images of the cache (one view each)."""
        found: list[dict[str, Any]] = []
        for batch, predictions in self._batches():
            sizes = [self.cache.sizes[row] for row in batch.rows]
            outputs = detector.detect(*predictions, batch.where, sizes)
            for row, output in zip(batch.rows, outputs, strict=True):
                found += dataset.results(row, output)
        return dict(coco_eval.evaluate(dataset.ground_truth(), found).numbers)

    def _batches(self) -> Iterator[tuple[Batch, tuple[Tensor, Tensor, Tensor]]]:
        with torch.inference_mode():
            for rows in self.cache.scoring_rows(self.batch):
                batch = self.cache.batch(rows, self.hardware.device, self.decoder.num_inputs)
                with self.hardware.autocast():
                    predictions = self.decoder(batch.features)
                yield batch, predictions
