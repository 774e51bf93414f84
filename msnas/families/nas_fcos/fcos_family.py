"""From the configuration to NAS-FCOS's detectors, their costs, and the search for their decoders.

There are three networks: the detector that trains the backbone, with FCOS's own decoder (`backbone.*`); the narrow
decoder that a search trains on the frozen backbone's cached features to score it (`space.*`, `heads.*`); and the
detector that a winner is retrained as (`network.*`). Torch is imported when a network is asked for.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from msnas.config.compose import build
from msnas.errors import ConfigError
from msnas.families.family import Chosen, Found, Told
from msnas.seeds import derive
from supernet.cost import Cost
from supernet.nas_fcos.decoder import ORIGINAL, Decoder
from supernet.nas_fcos.decoder_cost import detector_cost
from supernet.nas_fcos.head_space import HeadSpace
from supernet.nas_fcos.pyramid_space import PyramidSpace

FIRST = "backbone"
SHARES_WEIGHTS = False
_DETECTOR = ("center_sampling", "range_scale", "score_threshold", "nms_threshold", "pre_nms", "detections")


def divisor(config: DictConfig) -> int:
    """The backbone's coarsest stride; P6 and P7 round up."""
    return 32


def parse(config: DictConfig, text: str) -> Decoder:
    """A whole decoder, PYRAMID/HEAD; or its searched half alone, beside the half that the space fixes."""
    from msnas.setup.space import plain_space

    if "/" in text:
        return Decoder.parse(text)
    space = plain_space(config)
    decoder: Decoder = space.decoder(space.parse(text))
    return decoder


def first(config: DictConfig, classes: Sequence[str]) -> Any:
    """FCOS with its own decoder: what the backbone is trained in before it is frozen."""
    backbone: Any = OmegaConf.to_container(config.backbone, resolve=True)
    channels = backbone.pop("decoder_channels")
    return _fcos(config, Decoder(), classes, channels=channels, **backbone)


def detector(config: DictConfig, decoder: Decoder, classes: Sequence[str]) -> Any:
    """The FCOS that `decoder` is retrained as."""
    return _fcos(config, decoder, classes, **_network(config, decoder))


def baseline(config: DictConfig, classes: Sequence[str]) -> Any:
    """FCOS with its own decoder at `baseline.channels`: same backbone, same recipe."""
    own = {"channels": config.baseline.channels, "out_channels": None, "weights": config.baseline.pretrained}
    return _fcos(config, Decoder(), classes, **_network(config, Decoder()) | own)


def _network(config: DictConfig, decoder: Decoder) -> dict[str, Any]:
    """Options of the encoder; FCOS's own pyramid has one width only, that of the head."""
    options: Any = OmegaConf.to_container(config.network, resolve=True)
    if decoder.pyramid is None:
        options["channels"] = options["out_channels"] or options["channels"]
    return dict(options)


def _fcos(config: DictConfig, decoder: Decoder, classes: Sequence[str], **options: Any) -> Any:
    from msnas.detectors.fcos import FCOS
    from supernet.nas_fcos.fcos_encoder import FcosEncoder

    encoder = FcosEncoder(decoder.pyramid, backbone=config.space.backbone, width=config.space.width, **options)
    return FCOS(
        encoder,
        num_classes=len(classes),
        short_side=config.data.short_side,
        long_side=config.data.long_side,
        head=str(decoder.head or ORIGINAL),
        **{name: config.detector[name] for name in _DETECTOR},
    )


def cost(config: DictConfig, decoder: Decoder, input_size: tuple[int, int]) -> Cost:
    """Exact cost of the detector that `decoder` is retrained as."""
    options = _network(config, decoder)
    return _cost(config, decoder, input_size, options["channels"], options["out_channels"])


def baseline_cost(config: DictConfig, input_size: tuple[int, int]) -> Cost:
    """Exact cost of FCOS with its own decoder."""
    return _cost(config, Decoder(), input_size, config.baseline.channels)


def _cost(config: DictConfig, decoder: Decoder, size: tuple[int, int], channels: int, out: int | None = None) -> Cost:
    space = config.space
    shape: dict[str, Any] = {"num_classes": space.num_classes, "input_size": size, "width": space.width}
    return detector_cost(decoder, space.backbone, channels=channels, head_channels=out, **shape)


def baseline_name(config: DictConfig) -> str:
    """Backbone, width and channels."""
    return f"{config.space.backbone}-FPN under FCOS, width {config.space.width:g}, {config.baseline.channels} channels"


def recipe(config: DictConfig, **changes: Any) -> Any:
    """How a sampled decoder is scored."""
    from msnas.families.nas_fcos.decoder_recipe import DecoderRecipe

    values: Any = OmegaConf.to_container(config.decoder, resolve=True)
    return DecoderRecipe(**{**values, **changes})


def search(
    config: DictConfig,
    splits: Any,
    *,
    space: PyramidSpace | HeadSpace,
    weights: Path,
    folder: Path,
    hardware: Any,
    told: Told,
) -> Found:
    """The progressive search on the backbone in `weights` (a HeadSpace: heads alone), on from where `folder` stands."""
    from msnas.engine.checkpoint import load_weights
    from msnas.families.nas_fcos.progressive_search import Cache, ProgressiveSearch
    from msnas.files import digest

    if config.hardware.workers:
        raise ConfigError(
            f"Decoders are scored in one process, on features in its memory: hardware.workers must be 0, "
            f"but got {config.hardware.workers}."
        )
    frozen = first(config, splits.train.classes)
    load_weights(weights, frozen)
    settings: Any = OmegaConf.to_container(config.cache, resolve=True)
    run = ProgressiveSearch(
        frozen,
        splits,
        folder=folder,
        weights=digest(weights),
        seed=config.seed,
        hardware=hardware,
        cache=Cache(**{**settings, "jitter": tuple(settings["jitter"])}),
        told=told,
    )
    if isinstance(space, HeadSpace):
        return _found([run.run_heads(_phase(config, space, "head"))])
    pyramids, heads = _phase(config, space, "pyramid"), head_phase(config, space.input_size)
    return _found(run.run(pyramids, heads, training=recipe(config, iterations=config.heads.training)))


def head_phase(config: DictConfig, input_size: tuple[int, int]) -> Any | None:
    """The second half of the search; None where only the pyramid is searched."""
    if not config.heads.search:
        return None
    space = HeadSpace(
        backbone=config.space.backbone,
        width=config.space.width,
        channels=config.heads.channels,
        layers=config.heads.layers,
        num_classes=config.space.num_classes,
        input_size=input_size,
    )
    counts = {name: config.heads[name] for name in ("population_size", "children", "iterations")}
    return _phase(config, space, "head", **counts)


def _phase(config: DictConfig, space: PyramidSpace | HeadSpace, name: str, **counts: int) -> Any:
    from msnas.families.nas_fcos.progressive_search import Phase

    strategy: Any = OmegaConf.to_container(config.strategy, resolve=True)
    return Phase(
        space=space,
        strategy=build({**strategy, **counts}, space=space, seed=derive(config.seed, "search", name)),
        recipe=recipe(config),
        top_k=config.top_k,
        finalists=config.search.finalists,
        replicates=config.search.replicates,
    )


def _found(halves: Sequence[Any]) -> Found:
    """The last half's best, as whole decoders; evaluations of all halves are counted."""
    last = halves[-1]

    def chosen(finalist: Any) -> Chosen:
        space = last.space
        return Chosen(space.decoder(space.decode(finalist.genome)), space.cost(finalist.genome), finalist)

    results = [half.result for half in halves]
    return Found(
        winners=tuple(map(chosen, last.result.winners)),
        finalists=tuple(map(chosen, last.result.finalists)),
        evaluated=sum(result.evaluated for result in results),
        failed=sum(result.failed for result in results),
        inside_budget=sum(half.inside_budget for half in halves),
        seconds=sum(result.seconds for result in results),
    )
