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
from msnas.families.nas_fcos.decoder_recipe import DecoderRecipe
from msnas.families.nas_fcos.decoder_scoring import DecoderEvaluator
from msnas.families.nas_fcos.progressive_search import ProgressiveSearch, head_maker, pyramid_maker
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
    whole: Splits,
    few: Splits,
    recipe: DecoderRecipe,
    cache: CacheOptions,
    *,
    between: int,
    seed: int,
    hardware: Hardware,
    folder: Path,
) -> SearchTrial:
    """What `few` of the images say of a search on the `whole`. detector: fresh; folder: for what is cached meanwhile.

    between: steps that pyramids are trained for before heads are searched. A head is taken to cost what a pyramid does.
    """
    search = ProgressiveSearch(
        detector, few, folder=folder, weights="", seed=seed, hardware=hardware, cache=cache, progress=_Silent()
    )
    began = time.perf_counter()
    maker: Callable[[Any], DecoderNet]
    if isinstance(space, HeadSpace):
        data, maker = search.data_of_heads(), head_maker(detector, space)
    else:
        data, maker = search.backbone_data(space.num_inputs), pyramid_maker(detector, space)
    seconds = time.perf_counter() - began
    rows = cache.views * len(whole.supernet_train) + len(whole.search_val)
    share = rows / (cache.views * len(few.supernet_train) + len(few.search_val))
    bytes_cached = share * (data.train.memory + data.held_out.memory)

    short = replace(recipe, iterations=min(STEPS, recipe.iterations))
    evaluator = DecoderEvaluator(data, maker, space=space, recipe=short, seed=seed, hardware=hardware)
    rng, train, score = np.random.default_rng(seed), 0.0, 0.0
    for _ in range(DECODERS):
        evaluator.measured(space.decode(space.sample(rng)), 0, 0)
        train += evaluator.times["train"] / short.iterations / DECODERS
        score += evaluator.times["score"] / len(few.search_val) / DECODERS
    return SearchTrial(
        before=share * seconds + between * train,
        each=recipe.iterations * train + len(whole.search_val) * score,
        cached=round(bytes_cached),
        on_disk=bytes_cached > cache.memory_limit,
    )
