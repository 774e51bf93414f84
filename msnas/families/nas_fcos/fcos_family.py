"""NAS-FCOS: decoders under FCOS, searched on the cached features of a frozen backbone.

There are three networks: the detector that trains the backbone, with FCOS's own decoder (`backbone.*`); the narrow
decoder that a search trains on the frozen backbone's cached features to score it (`space.*`, `heads.*`); and the
detector that a winner is retrained as (`network.*`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
from rich.filesize import decimal

from evolution.driver import Finalist
from evolution.strategy import Genome
from msnas.config.blueprint import Blueprint
from msnas.engine.hardware_options import refuse_fp16
from msnas.errors import ConfigError
from msnas.families.family import (
    ONE_BASELINE,
    Family,
    Picture,
    Pretraining,
    ScoredNetwork,
    SearchOutcome,
    SearchProgress,
    SearchTrial,
    Sides,
    Stage,
    require_detector,
    require_matplotlib,
)
from msnas.families.nas_fcos import zoo_nas_fcos
from msnas.families.nas_fcos.cache_options import CacheOptions
from msnas.families.nas_fcos.decoder_recipe import DecoderRecipe
from msnas.families.nas_fcos.head_options import HeadOptions
from msnas.families.nas_fcos.shared_heads import PERIOD, fully_shared
from msnas.families.search_settings import SearchSettings
from msnas.files import digest
from msnas.runs.folder import HEAD_HISTORY, HISTORY
from msnas.seeds import derive
from supernet.cost import Cost
from supernet.nas_fcos.decoder import ORIGINAL, Decoder
from supernet.nas_fcos.decoder_cost import detector_cost
from supernet.nas_fcos.head_space import HeadSpace
from supernet.nas_fcos.pyramid_space import PyramidSpace
from supernet.nas_fcos.pyramids_for_heads import PyramidsForHeads

if TYPE_CHECKING:
    from torch import Tensor, nn

    from msnas.data.opening import Splits
    from msnas.detectors.fcos import FCOS
    from msnas.engine.devices import Hardware
    from msnas.families.nas_fcos.progressive_search import Half, Phase


OWN_HEAD = "The head is the decoder's own, which a search finds or the space fixes"


@dataclass(frozen=True, kw_only=True)
class BackboneOptions:
    """Options `backbone.*`: the detector that trains the backbone, and how."""

    decoder_channels: int
    caffe: bool
    frozen: bool
    weights: str | None


@dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """Options `network.*`: what a decoder is retrained as. out_channels: of P3..P7 and the head; None: as channels."""

    channels: int
    out_channels: int | None
    caffe: bool
    frozen: bool
    weights: str | None


@dataclass(frozen=True, kw_only=True)
class FcosBaseline:
    """Options `baseline.*`: FCOS with its own decoder; never scaled to the budget. deformable: see `FpnNeck`."""

    backbone: str
    width: float
    channels: int
    deformable: int
    scaled: bool
    weights: str | None


@dataclass(frozen=True, kw_only=True)
class FcosFamily(Family):
    """heads: None in a space that searches heads alone."""

    pretraining: ClassVar[Pretraining] = "backbone"
    fixed_by: ClassVar[Mapping[str, Stage]] = {
        "backbone": "supernet",
        "heads": "search",
        "cache": "search",
        "network": "retrain",
    }

    space: PyramidSpace | HeadSpace
    detector: Blueprint
    sides: Sides
    backbone: BackboneOptions
    heads: HeadOptions | None = None
    candidate: DecoderRecipe
    cache: CacheOptions
    network: NetworkOptions
    baseline: FcosBaseline

    @staticmethod
    def divisor(space: Mapping[str, Any]) -> int:
        """The backbone's coarsest stride; P6 and P7 round up."""
        return 32

    @classmethod
    def check_detector(cls, detector: Blueprint) -> None:
        require_detector("NAS-FCOS", detector, "msnas.detectors.fcos.FCOS", "detector=fcos")

    @classmethod
    def unread(cls, groups: Mapping[str, Any]) -> Mapping[str, str]:
        cache: CacheOptions = groups["cache"]
        as_it_is = "The only view of an image is the image as it is, without cache.views=2 or cache.crop=true"
        drawn = {} if cache.draws else dict.fromkeys(("cache.flip", "cache.jitter"), as_it_is)
        head = dict.fromkeys(("detector.head", "retrain.detector.head"), OWN_HEAD)
        return {**super().unread(groups), **ONE_BASELINE, **drawn, **head}

    @staticmethod
    def zoo() -> Sequence[zoo_nas_fcos.PublishedDecoder]:
        return zoo_nas_fcos.ENTRIES

    @staticmethod
    def recognised(text: str) -> Decoder | None:
        """A whole decoder, PYRAMID/HEAD."""
        return Decoder.parse(text) if "/" in text else None

    @staticmethod
    def draw(pictures: Sequence[Picture], path: Path, *, borders: Sequence[float] | None = None) -> None:
        require_matplotlib()
        from msnas.drawings.decoder_picture import draw_decoder  # an extra

        if len(pictures) > 1:
            raise ConfigError("A picture holds one decoder; draw these apart.")
        draw_decoder(pictures[0].network, path, title=pictures[0].title, subtitle=pictures[0].subtitle)

    @staticmethod
    def of_toolbox(state: "Mapping[str, Tensor]") -> "nn.Module | None":
        from msnas.families.nas_fcos.toolbox_nas_fcos import nas_fcos_of_toolbox  # torch

        return nas_fcos_of_toolbox(state)

    def parse(self, text: str) -> Decoder:
        """A whole decoder, PYRAMID/HEAD; or its searched half alone, beside the half that the space fixes."""
        space: Any = self.space  # of one half or of the other
        decoder: Decoder = Decoder.parse(text) if "/" in text else space.decoder(space.parse(text))
        return decoder

    def row(self, text: str) -> dict[str, Any]:
        """Costs at the space's widths: of its half, or of a whole decoder, such as winners are."""
        decoder = self.parse(text)
        name = str(decoder) if "/" in text else text
        return {"architecture": name, **self.space.decoder_cost(decoder).by_name()}

    def pretraining_detector(self, classes: Sequence[str]) -> "nn.Module":
        """FCOS's head on its own pyramid, or on the one that heads are searched on: what is trained, then frozen."""
        options, space = {**asdict(self.backbone), "called": "backbone.weights"}, self.space
        fixed = Decoder(space.pyramid if isinstance(space, HeadSpace) else None)
        return self._fcos(fixed, classes, channels=options.pop("decoder_channels"), **options)

    def detector_of(self, architecture: Decoder, classes: Sequence[str]) -> "nn.Module":
        return self._fcos(architecture, classes, **self._network(architecture))

    def baseline_detector(self, classes: Sequence[str], variant: Any = None) -> "nn.Module":
        """FCOS with its own decoder at `baseline.channels`, on `baseline.backbone`; same recipe."""
        own = {name: getattr(self.baseline, name) for name in ("backbone", "channels", "deformable", "weights")}
        own |= {"out_channels": None, "called": "baseline.weights"}
        return self._fcos(Decoder(), classes, **self._network(Decoder()) | own)

    def _network(self, decoder: Decoder) -> dict[str, Any]:
        """Options of the encoder; FCOS's own pyramid has one width only, that of the head."""
        options = asdict(self.network)
        if decoder.pyramid is None:
            options["channels"] = options["out_channels"] or options["channels"]
        return options

    def _fcos(self, decoder: Decoder, classes: Sequence[str], **options: Any) -> "nn.Module":
        from supernet.nas_fcos.fcos_encoder import FcosEncoder  # torch

        body: dict[str, Any] = {"backbone": self.space.backbone, "width": self.space.width}
        encoder = FcosEncoder(decoder.pyramid, **body | options)
        sides = {"short_side": self.sides.short, "long_side": self.sides.long}
        head = str(decoder.head or ORIGINAL)
        detector: nn.Module = self.detector(encoder=encoder, num_classes=len(classes), head=head, **sides)
        return detector

    def cost(self, architecture: Decoder) -> Cost:
        """Exact cost of the detector that `architecture` is retrained as."""
        options = self._network(architecture)
        return self._cost(architecture, options["channels"], options["out_channels"])

    @property
    def baseline_cost(self) -> Cost:
        """Exact cost of FCOS with its own decoder."""
        shape = {name: getattr(self.baseline, name) for name in ("channels", "backbone", "deformable")}
        return self._cost(Decoder(), **shape)

    def _cost(
        self,
        decoder: Decoder,
        channels: int,
        out: int | None = None,
        *,
        backbone: str | None = None,
        deformable: int = 0,
    ) -> Cost:
        space = self.space
        shape: dict[str, Any] = {"num_classes": space.num_classes, "input_size": space.input_size, "width": space.width}
        shape |= {"channels": channels, "head_channels": out, "deformable": deformable}
        return detector_cost(decoder, backbone or space.backbone, **shape)

    @property
    def baseline_name(self) -> str:
        baseline = self.baseline
        kind = "DeformFPN" if baseline.deformable else "FPN"
        return f"{baseline.backbone}-{kind} under FCOS, width {self.space.width:g}, {baseline.channels} channels"

    # The search

    @property
    def scored_by_loss(self) -> bool:
        return self.candidate.reward == "loss"

    def check_search(self, settings: SearchSettings) -> None:
        refuse_fp16(settings.hardware.precision)
        why = "Decoders are scored in one process, on features in its memory"
        if settings.hardware.workers:
            raise ConfigError(f"{why}: hardware.workers must be 0, but got {settings.hardware.workers}.")
        if settings.hardware.engine != "local":
            raise ConfigError(f"{why}: hardware.engine must be local, but got {settings.hardware.engine}.")
        if settings.rungs:
            raise ConfigError("Decoders are scored whole: fidelity must be full, but got halving.")
        if settings.data.selection:
            selection = settings.data.selection
            raise ConfigError(
                f"Decoders are scored on all of search_val: data.selection must be 0, but got {selection}."
            )
        if self.heads is not None and not 1 <= self.heads.trained <= settings.finalists:
            raise ConfigError(
                f"1 <= heads.trained <= search.finalists must hold, but got {self.heads.trained} and "
                f"{settings.finalists}; search.finalists={self.heads.trained} scores as many again."
            )
        if "minimise" in settings.strategy.options:
            minimise = list(settings.strategy.options["minimise"])
            raise ConfigError(
                f"Decoders are searched for their reward alone: a strategy must have no objectives beside it, but got "
                f"strategy.minimise={minimise}; give another one, such as strategy=predictor."
            )
        space = self._first_space(settings)
        settings.strategy(space=space, seed=0)
        space.sample(np.random.default_rng(0))  # a budget that no head fits into is refused before the pyramids' search

    def evaluations(self, strategy: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """Pyramids, then heads where those are searched too."""
        second = self._second_half()
        return [strategy] if second is None else [strategy, {**strategy, **second}]

    def _second_half(self) -> dict[str, int] | None:
        """What the strategy of the heads has of its own; None where only one half is searched."""
        if self.heads is None or not self.heads.search:
            return None
        return {name: getattr(self.heads, name) for name in ("population_size", "children", "iterations")}

    def search(self, settings: SearchSettings, splits: "Splits", progress: SearchProgress) -> SearchOutcome:
        """The progressive search on the trained backbone (a HeadSpace: heads alone)."""
        from msnas.engine.checkpoint import load_weights  # torch
        from msnas.families.initial_weights import pretraining_network
        from msnas.families.nas_fcos.progressive_search import ProgressiveSearch

        frozen: Any = pretraining_network(self, splits.train.classes, seed=settings.seed)
        load_weights(settings.weights, frozen)
        run = ProgressiveSearch(
            frozen,
            splits,
            folder=settings.folder,
            weights=digest(settings.weights),
            seed=settings.seed,
            hardware=settings.hardware.for_candidates(),
            cache=self.cache,
            journal=settings.journal,
            progress=progress,
        )
        space = self._first_space(settings)
        if isinstance(space, HeadSpace):
            return _outcome([run.run_heads(self._phase(settings, space, "head"))])
        training = replace(self.candidate, iterations=self.heads.training) if self.heads else self.candidate
        trained = self.heads.trained if self.heads else 1
        halves = self._phase(settings, space, "pyramid"), self.head_phase(settings)
        return _outcome(run.run(*halves, training=training, trained=trained))

    def caches_ahead(self, detector: "nn.Module", splits: "Splits", *, seed: int) -> str:
        from msnas.families.nas_fcos.cache_size import placed, search_caches  # torch

        heads = self.heads if self._second_half() is not None else None
        caches = search_caches(cast("FCOS", detector), self.space, heads, splits, self.cache, seed=seed)
        memory, disk = map(decimal, placed(caches, self.cache.memory_limit))
        limit = decimal(int(self.cache.memory_limit))
        return f"The search will cache features: {memory} in memory (cache.memory_limit is {limit}), {disk} on disk."

    def trial_of_search(
        self, space: Any, whole: "Splits", few: "Splits", *, seed: int, hardware: "Hardware", folder: Path
    ) -> SearchTrial:
        from msnas.families.initial_weights import pretraining_network  # torch
        from msnas.families.nas_fcos.decoder_trial import trial_of_search

        detector = pretraining_network(self, whole.train.classes, seed=seed)
        heads = self.heads if self._second_half() is not None else None
        run: dict[str, Any] = {"seed": seed, "hardware": hardware, "folder": folder}
        return trial_of_search(detector, space, heads, whole, few, self.candidate, self.cache, **run)

    def _first_space(self, settings: SearchSettings) -> PyramidSpace | HeadSpace:
        """What is searched first; pyramids inside a budget only where heads, which are searched next, fit as well."""
        space = settings.space
        assert isinstance(space, PyramidSpace | HeadSpace)
        if isinstance(space, HeadSpace) or space.budget is None or self.heads is None or not self.heads.search:
            return space
        return PyramidsForHeads.of(space, self._head_space(self.heads))

    def head_phase(self, settings: SearchSettings) -> "Phase | None":
        """The second half of the search; None where only the pyramid is searched."""
        counts = self._second_half()
        if counts is None or self.heads is None:
            return None
        return self._phase(settings, self._head_space(self.heads), "head", **counts)

    def _head_space(self, heads: HeadOptions) -> HeadSpace:
        return HeadSpace(
            backbone=self.space.backbone,
            width=self.space.width,
            channels=heads.channels,
            layers=heads.layers,
            num_classes=self.space.num_classes,
            input_size=self.space.input_size,
        )

    def scored(self, genome: Sequence[int], found: Decoder) -> Decoder:
        """A pyramid under the fixed head, or a head on the pyramid that was found."""
        space: Any = self.space
        if self.heads is not None and self.heads.search:
            space = self._head_space(self.heads).on(found.pyramid)
        decoder: Decoder = space.decoder(space.decode(genome))
        return decoder

    def _phase(self, settings: SearchSettings, space: PyramidSpace | HeadSpace, name: str, **counts: int) -> "Phase":
        from msnas.families.nas_fcos.progressive_search import Phase  # torch

        strategy = replace(settings.strategy, options={**settings.strategy.options, **counts})
        return Phase(
            space=space,
            make_strategy=partial(strategy, seed=derive(settings.seed, "search", name)),
            recipe=self.candidate,
            top_k=settings.top_k,
            finalists=settings.finalists,
            replicates=settings.replicates,
        )

    @property
    def histories(self) -> tuple[str, ...]:
        return (HEAD_HISTORY,) if isinstance(self.space, HeadSpace) else (HISTORY, HEAD_HISTORY)

    # The report

    def second_search(self, evaluated: int) -> str:
        return f"Those were pyramids; {evaluated:,} heads followed, on the best of them."

    def sharing(self, drawn: Sequence[Genome], second: Sequence[Genome]) -> dict[str, Any] | None:
        """Fig. 5 of the paper; None where no heads were searched."""
        heads = drawn if isinstance(self.space, HeadSpace) else second
        return {"period": PERIOD, "shares": fully_shared(heads)} if heads else None


def _outcome(halves: "Sequence[Half]") -> SearchOutcome:
    """The last half's best, as whole decoders; evaluations of all halves are counted."""
    last = halves[-1]

    def scored(finalist: Finalist) -> ScoredNetwork:
        space: Any = last.space
        return ScoredNetwork(space.decoder(space.decode(finalist.genome)), space.cost(finalist.genome), finalist)

    results = [half.result for half in halves]
    return SearchOutcome(
        winners=tuple(map(scored, last.result.winners)),
        finalists=tuple(map(scored, last.result.finalists)),
        evaluated=sum(result.evaluated for result in results),
        failed=sum(result.failed for result in results),
        inside_budget=sum(half.inside_budget for half in halves),
        seconds=sum(result.seconds for result in results),
    )
