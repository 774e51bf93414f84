"""What a search of decoders will take, told by a few images, decoders and steps."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from msnas.data.opening import Splits
from msnas.engine.devices import Hardware
from msnas.families.family import SearchTrial
from msnas.families.nas_fcos.cache_options import CacheOptions
from msnas.families.nas_fcos.cache_size import placed, search_caches
from msnas.families.nas_fcos.caching import cached_part
from msnas.families.nas_fcos.decoder_recipe import DecoderRecipe
from msnas.families.nas_fcos.decoder_scoring import DecoderEvaluator
from msnas.families.nas_fcos.head_options import HeadOptions
from msnas.families.nas_fcos.progressive_search import ProgressiveSearch, head_maker, make_decoder, pyramid_maker
from supernet.nas_fcos.fcos_encoder import DecoderNet
from supernet.nas_fcos.head_space import HeadSpace
from supernet.nas_fcos.pyramid_space import PyramidSpace

STEPS, DECODERS = 8, 2  # that are measured, of the first half of a search


class _Silent:
    """A search's progress that nobody is told of."""

    def part(self, name: str) -> None: ...

    def known(self, evaluations: int) -> None: ...

    def evaluation(self, *_: Any) -> None: ...

    def generation(self, *_: Any) -> None: ...

    def preparation(self, *_: Any) -> None: ...


def trial_of_search(
    detector: Any,
    space: PyramidSpace | HeadSpace,
    heads: HeadOptions | None,
    whole: Splits,
    few: Splits,
    recipe: DecoderRecipe,
    cache: CacheOptions,
    *,
    seed: int,
    hardware: Hardware,
    folder: Path,
) -> SearchTrial:
    """What `few` of the images say of a search on the `whole`. detector: fresh; folder: for what is cached meanwhile.

    heads: the second half of the search; None: there is one only. A head is taken to cost what a pyramid does.
    """
    search = ProgressiveSearch(
        detector, few, folder=folder, weights="", seed=seed, hardware=hardware, cache=cache, progress=_Silent()
    )
    rng, began = np.random.default_rng(seed), time.perf_counter()
    maker: Callable[[Any], DecoderNet]
    if isinstance(space, HeadSpace):
        neck = detector.encoder.neck
        data = search.through(search.backbone_data(neck.num_inputs), neck, "neck")
        maker = head_maker(detector, space)
    else:
        data = search.backbone_data(space.num_inputs)
        maker = pyramid_maker(detector, space)
        if heads is not None:
            pyramid = space.decode(space.sample(rng))
            decoder = hardware.place(make_decoder(detector, pyramid, space.head, space.channels, heads.channels))
            search.through(data, decoder.pyramid, "trial")  # type: ignore[arg-type]
    learnt = cached_part(whole.supernet_train, cache.images, seed=seed)
    share = len(learnt) / len(search.train), len(whole.search_val) / len(few.search_val)
    seconds = max(share) * (time.perf_counter() - began)

    short = replace(recipe, iterations=min(STEPS, recipe.iterations))
    evaluator = DecoderEvaluator(data, maker, space=space, recipe=short, seed=seed, hardware=hardware)
    train, score = 0.0, 0.0
    for _ in range(DECODERS):
        evaluator.measured(space.decode(space.sample(rng)), 0, 0)
        train += evaluator.times["train"] / short.iterations / DECODERS
        score += evaluator.times["score"] / DECODERS
    memory, disk = placed(search_caches(detector, space, heads, whole, cache, seed=seed), cache.memory_limit)
    return SearchTrial(
        before=seconds + (heads.training * heads.trained * train if heads is not None else 0.0),
        each=recipe.iterations * train + share[1] * score,
        memory=memory,
        disk=disk,
    )
