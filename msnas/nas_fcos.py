"""From the configuration to NAS-FCOS's detectors, their costs, and the search for their decoders.

A decoder has two networks: the narrow one that a search trains on cached features to score it (`space.*`, `heads.*`),
and the one that it is retrained as (`network.*`). The detector whose backbone is frozen is the latter with FCOS's own
decoder. Torch is imported when a network is asked for.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from msnas.config import build
from msnas.seeds import derive
from supernet.cost import Cost
from supernet.nas_fcos import HeadSpace, PyramidSpace
from supernet.nas_fcos_architecture import ORIGINAL, Decoder
from supernet.nas_fcos_cost import detector_cost

_DETECTOR = ("center_sampling", "score_threshold", "nms_threshold", "pre_nms", "detections")


def detector(config: DictConfig, decoder: Decoder, classes: Sequence[str]) -> Any:
    """The FCOS that `decoder` is retrained as."""
    from msnas.detectors.fcos import FCOS
    from supernet.nas_fcos_encoder import FcosEncoder

    options: Any = OmegaConf.to_container(config.network, resolve=True)
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
    return detector_cost(
        decoder,
        config.space.backbone,
        channels=config.network.channels,
        head_channels=config.network.out_channels,
        num_classes=config.space.num_classes,
        input_size=input_size,
        width=config.space.width,
    )


def recipe(config: DictConfig, **changes: Any) -> Any:
    """How a sampled decoder is scored."""
    from msnas.engine.decoder import DecoderRecipe

    values: Any = OmegaConf.to_container(config.decoder, resolve=True)
    return DecoderRecipe(**{**values, **changes})


def head_phase(config: DictConfig, input_size: tuple[int, int], classes: Sequence[str]) -> Any | None:
    """The second half of the search; None where only the pyramid is searched."""
    if not config.heads.search:
        return None
    space = HeadSpace(
        backbone=config.space.backbone,
        width=config.space.width,
        channels=config.heads.channels,
        layers=config.heads.layers,
        num_classes=len(classes),
        input_size=input_size,
    )
    counts = {name: config.heads[name] for name in ("population_size", "children", "iterations")}
    return _phase(config, space, "head", **counts)


def _phase(config: DictConfig, space: PyramidSpace | HeadSpace, name: str, **counts: int) -> Any:
    from msnas.nas_fcos_search import Phase

    seed = derive(config.seed, "search", name)
    return Phase(
        space=space,
        strategy=build({**OmegaConf.to_container(config.strategy, resolve=True), **counts}, space=space, seed=seed),  # type: ignore[dict-item]
        recipe=recipe(config),
        top_k=config.top_k,
        finalists=config.search.finalists,
        replicates=config.search.replicates,
    )


def search(
    config: DictConfig,
    splits: Any,
    frozen: Any,
    *,
    space: PyramidSpace | HeadSpace,
    weights: str,
    folder: Path,
    hardware: Any,
    told: Any | None = None,
) -> Any:
    """The progressive search on the backbone of `frozen` (a HeadSpace: heads alone), on from where `folder` stands.

    Returns what `ProgressiveSearch.run` finds, or `run_heads`.
    """
    from msnas.nas_fcos_search import Cache, ProgressiveSearch

    settings: Any = OmegaConf.to_container(config.cache, resolve=True)
    run = ProgressiveSearch(
        frozen,
        splits,
        folder=folder,
        weights=weights,
        seed=config.seed,
        hardware=hardware,
        cache=Cache(**{**settings, "jitter": tuple(settings["jitter"])}),
        told=told,
    )
    if isinstance(space, HeadSpace):
        return run.run_heads(_phase(config, space, "head"))
    return run.run(
        _phase(config, space, "pyramid"),
        head_phase(config, space.input_size, splits.train.classes),
        training=recipe(config, iterations=config.heads.training),
    )
