"""The progressive search: pyramids first, then heads on the best of them; killed and resumed; any strategy."""

import numpy as np
import pytest
import torch

from evolution.multi_scale import MultiScaleEvolution
from evolution.random_search import RandomSearch
from msnas.controller import Controller
from msnas.data.coco import open_data
from msnas.data.settings import DataSettings
from msnas.detectors.fcos import FCOS
from msnas.engine.decoder import DecoderRecipe
from msnas.engine.devices import Hardware
from msnas.errors import ConfigError
from msnas.nas_fcos_search import Cache, Phase, ProgressiveSearch, Told, make_decoder
from supernet.nas_fcos import HeadSpace, PyramidSpace
from supernet.nas_fcos_architecture import PUBLISHED, Pyramid
from supernet.nas_fcos_encoder import FcosEncoder
from supernet.space import Budget

SMALL = {"backbone": "resnet18", "input_size": (64, 64), "num_classes": 4}
PYRAMIDS = PyramidSpace(channels=8, blocks=4, **SMALL)
HEADS = HeadSpace(channels=16, layers=2, **SMALL)
RECIPE = DecoderRecipe(iterations=2, batch=4, score_batch=4)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    drawing = {"name": "shapes", "root": str(tmp_path_factory.mktemp("shapes")), "size": 64, "train": 24, "val": 4}
    held_out = {"minimum": 6, "maximum": 6}
    settings = {**drawing, "short_side": 64, "long_side": 64, "search_val": held_out, "workers": 0}
    return open_data(DataSettings.from_mapping(settings), seed=0)


@pytest.fixture(scope="module")
def detector(splits):
    torch.manual_seed(0)
    encoder = FcosEncoder(str(PUBLISHED.pyramid), backbone="resnet18", channels=8, width=0.25)
    return FCOS(encoder, num_classes=len(splits.train.classes), short_side=64, long_side=64)


def phase(space, kind=RandomSearch, **options):
    strategy = kind(space, seed=1, population_size=3, children=2, iterations=1, **options)
    return Phase(space=space, strategy=strategy, recipe=RECIPE, finalists=2, replicates=1, top_k=1)


def search(detector, splits, folder, **options):
    settings = {"folder": folder, "weights": "w", "seed": 3, "hardware": Hardware(threads=1), **options}
    return ProgressiveSearch(detector, splits, **settings)


def found_scores(result):
    return [(finalist.genome, finalist.mean) for finalist in result.finalists]


@pytest.fixture(scope="module")
def whole(detector, splits, tmp_path_factory):
    """A search that was never interrupted."""
    told = []
    folder = tmp_path_factory.mktemp("whole")
    run = search(detector, splits, folder, told=Told(evaluation=lambda e, n, of: told.append(e)))
    return run.run(phase(PYRAMIDS), phase(HEADS)), told, folder


def test_the_decoder_found_is_the_best_head_on_the_best_pyramid(whole):
    found, _, _ = whole
    assert found.decoder.pyramid == PYRAMIDS.decode(found.pyramids.winners[0].genome)
    assert found.decoder.head == HEADS.decode(found.heads.winners[0].genome)


def test_costs_of_heads_are_those_on_the_best_pyramid(whole):
    found, told, _ = whole
    head = next(evaluation for evaluation in told if len(evaluation.genome) == 3)
    cost = HEADS.on(found.decoder.pyramid).cost(head.genome)
    assert head.cost == {"macs": cost.macs, "params": cost.params}


def test_every_evaluation_succeeded_and_is_in_the_histories(whole):
    found, told, folder = whole
    assert all(evaluation.ok for evaluation in told)
    assert found.pyramids.evaluated + found.heads.evaluated == len(told) == 14
    assert {path.name for path in folder.glob("*.sqlite")} == {"history.sqlite", "head.sqlite"}


@pytest.mark.parametrize("after", [2, 10])
def test_a_search_that_was_broken_off_ends_as_one_that_was_not(detector, splits, whole, tmp_path, after):
    found, told, _ = whole
    seen = []

    def break_off(evaluation, number, of):
        seen.append(evaluation)
        if len(seen) == after:
            raise InterruptedError

    first = search(detector, splits, tmp_path, told=Told(evaluation=break_off))
    with pytest.raises(InterruptedError):
        first.run(phase(PYRAMIDS), phase(HEADS))
    again = search(detector, splits, tmp_path, told=Told(evaluation=lambda e, n, of: seen.append(e)))
    resumed = again.run(phase(PYRAMIDS), phase(HEADS))
    assert resumed.decoder == found.decoder
    assert found_scores(resumed.heads) == found_scores(found.heads)
    assert len(seen) == len(told)  # nothing twice


def test_the_second_search_may_be_left_out(detector, splits, tmp_path):
    found = search(detector, splits, tmp_path).run(phase(PYRAMIDS), None)
    assert found.heads is None
    assert [decoder.head for decoder, _ in found.winners] == [None]
    assert found.decoder.pyramid == PYRAMIDS.decode(found.pyramids.winners[0].genome)


def test_features_beyond_the_limit_give_the_same_search(detector, splits, whole, tmp_path):
    found, _, _ = whole
    on_disk = search(detector, splits, tmp_path, cache=Cache(memory_limit=0)).run(phase(PYRAMIDS), phase(HEADS))
    assert found_scores(on_disk.heads) == found_scores(found.heads)
    assert (tmp_path / "features" / "train" / "done.json").exists()


@pytest.mark.parametrize(("kind", "options"), [(Controller, {"hidden": 8}), (MultiScaleEvolution, {"n_random": 1})])
def test_any_strategy_searches_both_halves(detector, splits, tmp_path, kind, options):
    found = search(detector, splits, tmp_path).run(phase(PYRAMIDS, kind, **options), phase(HEADS, kind, **options))
    assert found.pyramids.evaluated >= 3
    assert found.heads.evaluated >= 3


def test_a_controller_proposes_only_what_lies_inside_the_budget():
    target = HEADS.cost(HEADS.sample(np.random.default_rng(0))).macs
    inside = HEADS.within(Budget("macs", target, mode="ceiling"))
    asked = Controller(inside, seed=0, population_size=12, hidden=8).ask()
    assert len(asked) == 12
    assert all(inside.is_valid(genome) for genome in asked)


def test_a_head_that_is_no_multiple_of_the_pyramids_width_is_refused(detector, splits, tmp_path):
    heads = HeadSpace(channels=12, layers=2, **SMALL)
    with pytest.raises(ConfigError, match="must be a multiple of the pyramid's, but got 12 and 8"):
        search(detector, splits, tmp_path).run(phase(PYRAMIDS), phase(heads))


def test_heads_alone_are_searched_on_the_detectors_own_pyramid(detector, splits, tmp_path):
    heads = HeadSpace(channels=8, layers=2, **SMALL)
    assert search(detector, splits, tmp_path).run_heads(phase(heads)).failed == 0


def test_a_decoder_leaves_c2_out_where_no_block_reads_it(detector):
    reads, does_not = Pyramid.parse("0,1,0,0,0:1,1,0,0,0:2,2,0,0,0"), Pyramid.parse("1,1,0,0,0:1,1,0,0,0:2,2,0,0,0")
    assert [make_decoder(detector, p, None, 8, 8).num_inputs for p in (reads, does_not)] == [4, 3]
