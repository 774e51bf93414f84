"""NAS-FCOS's search, one half after the other: the pyramid under FCOS's head, then the head on the best pyramid.

arXiv 1906.04423, sections 3.3 and 4.1.1. The backbone is frozen and its features are cached; for the head's search the
best pyramid is trained longer, frozen too, and its outputs are cached in turn. Everything that was finished is on
disk.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from evolution.driver import SearchResult, evaluate_with, run_search
from evolution.history import AUTO, History
from evolution.strategy import Strategy
from msnas.data.dataset import DetectionDataset
from msnas.data.opening import Splits
from msnas.detectors.fcos import FCOS
from msnas.engine import checkpoint
from msnas.engine.devices import Hardware
from msnas.errors import ConfigError
from msnas.families.family import SearchProgress
from msnas.families.nas_fcos.cache_options import CacheOptions
from msnas.families.nas_fcos.cache_size import CacheSize, placed
from msnas.families.nas_fcos.caching import cache_features, cached_part, view_seed
from msnas.families.nas_fcos.decoder_features import DecoderFeatures
from msnas.families.nas_fcos.decoder_recipe import DecoderRecipe
from msnas.families.nas_fcos.decoder_scoring import DecoderData, DecoderEvaluator, scores, train_decoder
from msnas.files import digest
from msnas.runs.folder import HEAD_HISTORY, HISTORY
from msnas.seeds import derive
from supernet.nas_fcos.decoder import Decoder, Head, Pyramid
from supernet.nas_fcos.fcos_encoder import DecoderNet, make_pyramid
from supernet.nas_fcos.head_module import HeadModule
from supernet.nas_fcos.head_space import HeadSpace
from supernet.nas_fcos.pyramid_module import FpnNeck, PyramidModule
from supernet.nas_fcos.pyramid_space import PyramidSpace

log = logging.getLogger(__name__)
HISTORIES = {"pyramid": HISTORY, "head": HEAD_HISTORY}


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One half of the search. The best `finalists` are scored again, `replicates` times each; the means decide.

    make_strategy: `make_strategy(space=...)`; a head's space is known only when the best pyramid is.
    """

    space: PyramidSpace | HeadSpace
    make_strategy: Callable[..., Strategy]
    recipe: DecoderRecipe
    top_k: int = 5
    finalists: int = 8
    replicates: int = 3


@dataclass(frozen=True)
class Half:
    """One half when it is finished: its space (a head's: on the best pyramid), what was found, how much of it fits."""

    space: PyramidSpace | HeadSpace
    result: SearchResult
    inside_budget: int

    @property
    def decoders(self) -> tuple[Decoder, ...]:
        """The winners as whole decoders, best first."""
        space: Any = self.space
        return tuple(space.decoder(space.decode(one.genome)) for one in self.result.winners)


class ProgressiveSearch:
    """A search on the frozen backbone of `detector`, which has been trained with any decoder.

    folder: gets a history for each half, the trained pyramid, and features that do not fit into memory; the same
    search in the same folder goes on where it was. weights: what identifies the detector's weights.
    """

    def __init__(
        self,
        detector: FCOS,
        splits: Splits,
        *,
        folder: Path,
        weights: str,
        seed: int,
        hardware: Hardware,
        cache: CacheOptions | None = None,
        journal: str = AUTO,
        progress: SearchProgress,
    ) -> None:
        self.detector, self.splits, self.folder, self.weights = detector, splits, folder, weights
        self.seed, self.hardware, self.journal = seed, hardware, journal
        self.cache, self.progress = cache or CacheOptions(), progress
        self.train = cached_part(splits.supernet_train, self.cache.images, seed=seed)

    def run(
        self, pyramids: Phase, heads: Phase | None, *, training: DecoderRecipe | None = None, trained: int = 1
    ) -> tuple[Half, ...]:
        """Search pyramids, then (unless `heads` is None) heads on the best of them, trained by `training` first.

        trained: so many of the finalists are, and the best of those goes on (section 4.1.1: 20). Returns both halves;
        the last one's winners are the result.
        """
        assert isinstance(pyramids.space, PyramidSpace)
        data = self.backbone_data(pyramids.space.num_inputs)
        self.progress.part("pyramids under a fixed head")
        first = self.search("pyramid", pyramids, data, pyramid_maker(self.detector, pyramids.space))
        if heads is None:
            return (first,)
        assert isinstance(heads.space, HeadSpace)
        finalists = [pyramids.space.decode(one.genome) for one in first.result.finalists[:trained]]
        width, training = heads.space.channels, training or pyramids.recipe
        best = self.best_trained(data, finalists, pyramids, width, training) if trained > 1 else finalists[0]
        on_pyramid = self.pyramid_data(data, best, pyramids, width, training)
        del data  # as large as what follows, which does not need it
        self.progress.part(f"heads on {best}")
        on_best = heads.space.on(best)  # so that costs, and the budget, are of the whole
        budget = pyramids.space.budget
        fixed = replace(heads, space=on_best if budget is None else on_best.within(budget))
        return first, self.search("head", fixed, on_pyramid, head_maker(self.detector, heads.space))

    def run_heads(self, heads: Phase) -> Half:
        """Search heads alone, on the pyramid that the detector was trained with, frozen too (Table 4, "h only")."""
        width = self.detector.encoder.out_channels
        if heads.space.channels != width:
            raise ConfigError(f"The head must have the pyramid's {width} channels, but got {heads.space.channels}.")
        assert isinstance(heads.space, HeadSpace)
        return self.search("head", heads, self.data_of_heads(), head_maker(self.detector, heads.space))

    def data_of_heads(self) -> DecoderData:
        """What the detector's own pyramid makes of all images."""
        neck = self.detector.encoder.neck
        return self.through(self.backbone_data(neck.num_inputs), neck, "neck")

    def backbone_data(self, coarsest: int) -> DecoderData:
        """The backbone's `coarsest` features of meta-train (with its views) and of meta-val."""
        cache, place = self.cache, self.folder / "features"

        def cached(name: str, dataset: DetectionDataset, options: CacheOptions) -> DecoderFeatures:
            rows = options.views * len(dataset)
            return cache_features(
                self.detector,
                dataset,
                hardware=self.hardware,
                options=options,
                seed=view_seed(self.seed),
                coarsest=coarsest,
                folder=place / name,
                fingerprint={"weights": self.weights},
                progress=lambda done, _: self.progress.preparation(f"features of {name}", done, rows),
            )

        whole = len(self.splits.supernet_train)
        log.info("Decoders learn on %s of %s training images (cache.images).", f"{len(self.train):,}", f"{whole:,}")
        train = cached("train", self.train, cache)
        beside = CacheOptions(memory_limit=self._memory_beside(CacheSize(train.memory, train.targets)))
        held_out = cached("held_out", self.splits.search_val, beside)
        return DecoderData(train, held_out, self.splits.search_val, self.detector)

    def best_trained(
        self, data: DecoderData, finalists: Sequence[Pyramid], phase: Phase, out_channels: int, training: DecoderRecipe
    ) -> Pyramid:
        """Which of the finalists has the highest reward when it is trained by `training`; the first of equals."""
        rewards = []
        for pyramid in finalists:
            decoder, _ = self.trained_pyramid(data, pyramid, phase, out_channels, training)
            self.hardware.place(decoder)  # where it was trained before, it comes from its file
            rewards.append(scores(decoder, data, training, self.hardware)["reward"])
            log.info("pyramid %s: reward %.4f after %s steps", pyramid, rewards[-1], training.iterations)
        return finalists[rewards.index(max(rewards))]

    def pyramid_data(
        self, data: DecoderData, pyramid: Pyramid, phase: Phase, out_channels: int, training: DecoderRecipe
    ) -> DecoderData:
        """The outputs of `pyramid`, trained by `training` with the phase's head and then frozen."""
        decoder, path = self.trained_pyramid(data, pyramid, phase, out_channels, training)
        assert decoder.pyramid is not None
        return self.through(data, decoder.pyramid, digest(path))

    def trained_pyramid(
        self, data: DecoderData, pyramid: Pyramid, phase: Phase, out_channels: int, training: DecoderRecipe
    ) -> tuple[DecoderNet, Path]:
        """`pyramid` trained by `training` with the phase's head, and the file of its weights; at most once."""
        assert isinstance(phase.space, PyramidSpace)
        channels = phase.space.channels
        if out_channels % channels:
            raise ConfigError(
                f"The head's width must be a multiple of the pyramid's, but got {out_channels} and {channels}."
            )
        seed = derive(self.seed, "pyramid", str(pyramid))
        path = self.folder / f"pyramid-{seed:016x}.safetensors"
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            decoder = make_decoder(self.detector, pyramid, phase.space.head, channels, out_channels)
        if path.exists():
            checkpoint.load_weights(path, decoder)
        else:
            decoder = train_decoder(
                decoder,
                data.train,
                training,
                seed=seed,
                hardware=self.hardware,
                progress=lambda done, _: self.progress.preparation("best pyramid", done, training.iterations),
            )
            checkpoint.save_weights(path, decoder)
        return decoder, path

    def through(self, data: DecoderData, pyramid: PyramidModule | FpnNeck, weights: str) -> DecoderData:
        """The outputs of a frozen pyramid, whose weights are known as `weights`, on all of `data`."""
        made = [CacheSize(part.memory, part.targets) for part in (data.train, data.held_out)]  # which stay meanwhile

        def outputs(name: str, features: DecoderFeatures) -> DecoderFeatures:
            done = features.through(
                pyramid,
                hardware=self.hardware,
                folder=self.folder / "features" / f"pyramid_{name}",
                memory_limit=self._memory_beside(*made),
                fingerprint={"weights": self.weights, "pyramid": weights},
            )
            made.append(CacheSize(done.memory))
            return done

        return replace(data, train=outputs("train", data.train), held_out=outputs("held_out", data.held_out))

    def _memory_beside(self, *caches: CacheSize) -> float:
        """What is left of the memory limit, which all caches share."""
        return max(0, self.cache.memory_limit - placed(caches, self.cache.memory_limit)[0])

    def search(self, name: str, phase: Phase, data: DecoderData, make: Callable[[Any], DecoderNet]) -> Half:
        """One half, on from where its history stands."""
        evaluator = DecoderEvaluator(
            data, make, space=phase.space, recipe=phase.recipe, seed=derive(self.seed, name), hardware=self.hardware
        )
        self.folder.mkdir(parents=True, exist_ok=True)
        strategy = phase.make_strategy(space=phase.space)
        described = {"space": phase.space.described(), "strategy": type(strategy).__name__}
        fingerprint = {"weights": self.weights, "seed": self.seed, **evaluator.described(), **described}
        with History(self.folder / HISTORIES[name], fingerprint=fingerprint, journal=self.journal) as history:
            self.progress.known(len(history.evaluations()))
            result = run_search(
                strategy,
                evaluate_with(evaluator),
                history,
                top_k=phase.top_k,
                finalists=phase.finalists,
                replicates=phase.replicates,
                on_evaluation=self.progress.evaluation,
                on_generation=self.progress.generation,
            )
            inside = sum(phase.space.is_valid(evaluation.genome) for evaluation in history.evaluations())
        return Half(phase.space, result, inside)


def pyramid_maker(detector: FCOS, space: PyramidSpace) -> Callable[[Pyramid], DecoderNet]:
    """Pyramid to a fresh decoder with the space's fixed head."""
    return lambda pyramid: make_decoder(detector, pyramid, space.head, space.channels, space.channels)


def head_maker(detector: FCOS, space: HeadSpace) -> Callable[[Head], DecoderNet]:
    """Head to a fresh one, on features P3..P7."""
    classes = detector.config["num_classes"]
    return lambda head: DecoderNet(None, HeadModule(head, channels=space.channels, num_classes=classes))


def make_decoder(detector: FCOS, pyramid: Pyramid, head: Head | None, channels: int, out_channels: int) -> DecoderNet:
    """A fresh decoder on the features of the detector's backbone; C2 is left out where no block reads it."""
    trimmed = pyramid.without_unread_c2()
    neck = make_pyramid(trimmed, detector.encoder.backbone.channels, channels, out_channels)
    return DecoderNet(neck, HeadModule(head, channels=out_channels, num_classes=detector.config["num_classes"]))
