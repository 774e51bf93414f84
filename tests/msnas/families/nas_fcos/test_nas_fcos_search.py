"""The progressive search: pyramids first, then heads on the best of them; killed and resumed; any strategy."""

import numpy as np
import pytest
import torch

from evolution.errors import StrategyError
from evolution.multi_scale import MultiScaleEvolution
from evolution.random_search import RandomSearch
from msnas.controller.controller import Controller
from msnas.data.opening import open_data
from msnas.data.settings import DataSettings
from msnas.engine.devices import Hardware
from msnas.errors import ConfigError
from msnas.families.nas_fcos import progressive_search
from msnas.families.nas_fcos.cache_options import CacheOptions
from msnas.families.nas_fcos.decoder_recipe import DecoderRecipe
from msnas.families.nas_fcos.progressive_search import Phase, ProgressiveSearch, make_decoder
from supernet.nas_fcos.decoder import Pyramid
from supernet.nas_fcos.head_space import HeadSpace
from supernet.nas_fcos.pyramid_space import PyramidSpace
from supernet.space import Budget

SMALL = {"backbone": "resnet18", "input_size": (64, 64), "num_classes": 4}
PYRAMIDS = PyramidSpace(channels=8, blocks=4, **SMALL)
HEADS = HeadSpace(channels=16, layers=2, **SMALL)
RECIPE = DecoderRecipe(iterations=2, batch=4, score_batch=4)
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    drawing = {"name": "shapes", "root": str(tmp_path_factory.mktemp("shapes")), "size": 64, "train": 24, "val": 4}
    held_out = {"minimum": 6, "maximum": 6}
    settings = {**drawing, "short_side": 64, "long_side": 64, "search_val": held_out, "workers": 0}
    return open_data(DataSettings.from_mapping(settings), seed=0)


def phase(space, kind=RandomSearch, **options):
    def make_strategy(space):
        return kind(space, seed=1, population_size=3, children=2, iterations=1, **options)

    return Phase(space=space, make_strategy=make_strategy, recipe=RECIPE, finalists=2, replicates=1, top_k=1)


class Listener:
    """Keeps the evaluations that it is told of; at the `after`-th it breaks the search off."""

    def __init__(self, after=None):
        self.seen, self.after, self.prepared = [], after, set()

    def part(self, name):
        pass

    def known(self, evaluations):
        pass

    def evaluation(self, evaluation, number, of):
        self.seen.append(evaluation)
        if len(self.seen) == self.after:
            raise InterruptedError

    def generation(self, record):
        pass

    def preparation(self, label, done, of):
        assert done <= of
        self.prepared.add(label)


def search(detector, splits, folder, told=None, **options):
    settings = {"folder": folder, "weights": "w", "seed": 3, "hardware": Hardware(threads=1), **options}
    return ProgressiveSearch(detector, splits, progress=told or Listener(), **settings)


def found_scores(half):
    return [(finalist.genome, finalist.mean) for finalist in half.result.finalists]


@pytest.fixture(scope="module")
def whole(detector, splits, tmp_path_factory):
    """A search that was never interrupted."""
    told = Listener()
    folder = tmp_path_factory.mktemp("whole")
    return search(detector, splits, folder, told).run(phase(PYRAMIDS), phase(HEADS)), told, folder


def test_the_decoder_found_is_the_best_head_on_the_best_pyramid(whole):
    (pyramids, heads), _, _ = whole
    assert heads.decoders[0].pyramid == PYRAMIDS.decode(pyramids.result.winners[0].genome)
    assert heads.decoders[0].head == HEADS.decode(heads.result.winners[0].genome)


def test_of_several_trained_pyramids_the_one_of_the_highest_reward_goes_on(detector, splits, tmp_path, monkeypatch):
    given = iter([-2.0, -1.0])  # the first choice of the search is the worse one when it is trained
    monkeypatch.setattr(progressive_search, "scores", lambda *_: {"reward": next(given)})
    pyramids, heads = search(detector, splits, tmp_path).run(phase(PYRAMIDS), phase(HEADS), trained=2)
    assert heads.decoders[0].pyramid == PYRAMIDS.decode(pyramids.result.finalists[1].genome)
    assert len([*tmp_path.glob("pyramid-*.safetensors")]) == 2


def test_costs_of_heads_are_those_on_the_best_pyramid(whole):
    (_, heads), told, _ = whole
    head = next(evaluation for evaluation in told.seen if len(evaluation.genome) == 3)
    cost = HEADS.on(heads.decoders[0].pyramid).cost(head.genome)
    assert head.cost == {"macs": cost.macs, "params": cost.params}


def test_a_budget_holds_for_heads_on_the_best_pyramid_and_is_counted_honestly(detector, splits, tmp_path):
    """The second half dropped it, and counted whatever came as inside."""
    drawn = [PYRAMIDS.cost(PYRAMIDS.sample(np.random.default_rng(seed))).macs for seed in range(20)]
    ceiling = Budget("macs", int(1.2 * max(drawn)), mode="ceiling")
    told = Listener()
    halves = search(detector, splits, tmp_path, told).run(phase(PYRAMIDS.within(ceiling)), phase(HEADS))
    assert [half.space.budget for half in halves] == [ceiling, ceiling]
    assert all(evaluation.cost["macs"] <= ceiling.target for evaluation in told.seen)
    assert sum(half.inside_budget for half in halves) == len(told.seen)


def test_every_evaluation_succeeded_and_is_in_the_histories(whole):
    halves, told, folder = whole
    assert all(evaluation.ok for evaluation in told.seen)
    assert sum(half.result.evaluated for half in halves) == len(told.seen) == 14
    assert {path.name for path in folder.glob("*.sqlite")} == {"history.sqlite", "head.sqlite"}


def test_what_comes_before_the_scores_is_told_too(whole):
    assert whole[1].prepared == {"features of train", "features of held_out", "best pyramid"}


@pytest.mark.parametrize("after", [2, 10])
def test_a_search_that_was_broken_off_ends_as_one_that_was_not(detector, splits, whole, tmp_path, after):
    halves, told, _ = whole
    first, again = Listener(after), Listener()
    with pytest.raises(InterruptedError):
        search(detector, splits, tmp_path, first).run(phase(PYRAMIDS), phase(HEADS))
    resumed = search(detector, splits, tmp_path, again).run(phase(PYRAMIDS), phase(HEADS))
    assert resumed[-1].decoders == halves[-1].decoders
    assert found_scores(resumed[-1]) == found_scores(halves[-1])
    assert len(first.seen) + len(again.seen) == len(told.seen)  # nothing twice


def test_the_second_search_may_be_left_out(detector, splits, tmp_path):
    (pyramids,) = search(detector, splits, tmp_path).run(phase(PYRAMIDS), None)
    assert [decoder.head for decoder in pyramids.decoders] == [None]
    assert pyramids.decoders[0].pyramid == PYRAMIDS.decode(pyramids.result.winners[0].genome)


def test_features_beyond_the_limit_give_the_same_search(detector, splits, whole, tmp_path):
    halves, _, _ = whole
    on_disk = search(detector, splits, tmp_path, cache=CacheOptions(memory_limit=0)).run(phase(PYRAMIDS), phase(HEADS))
    assert found_scores(on_disk[-1]) == found_scores(halves[-1])
    assert (tmp_path / "features" / "train" / "done.json").exists()


@pytest.mark.parametrize(("kind", "options"), [(Controller, {"hidden": 8}), (MultiScaleEvolution, {"n_random": 1})])
def test_any_strategy_searches_both_halves(detector, splits, tmp_path, kind, options):
    halves = search(detector, splits, tmp_path).run(phase(PYRAMIDS, kind, **options), phase(HEADS, kind, **options))
    assert all(half.result.evaluated >= 3 for half in halves)


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


def test_decoders_learn_on_the_images_that_are_drawn_alone(detector, splits, tmp_path, caplog):
    run = search(detector, splits, tmp_path, cache=CacheOptions(images=5))
    with caplog.at_level("INFO", "msnas"):
        data = run.backbone_data(4)
    assert "Decoders learn on 5 of 18 training images (cache.images)." in caplog.messages
    steps = data.train.training_rows(5, seed=0)
    assert sorted(next(steps)) == sorted(next(steps)) == [0, 1, 2, 3, 4]
    whole = search(detector, splits, tmp_path).backbone_data(4).train
    place = [image.id for image in splits.supernet_train.images].index(run.train.images[3].id)
    one, same = (cache.batch([row], torch.device("cpu")) for cache, row in ((data.train, 3), (whole, place)))
    torch.testing.assert_close(one.features[0], same.features[0], rtol=1e-2, atol=1e-2)
    assert torch.equal(one.targets.labels, same.targets.labels)


def test_the_images_that_decoders_learn_on_belong_to_what_scores_depend_on(detector, splits, tmp_path):
    search(detector, splits, tmp_path).run(phase(PYRAMIDS), None)
    with pytest.raises(StrategyError, match="train_images"):
        search(detector, splits, tmp_path, cache=CacheOptions(images=5)).run(phase(PYRAMIDS), None)


def test_heads_alone_are_searched_on_the_detectors_own_pyramid(detector, splits, tmp_path):
    heads = HeadSpace(channels=8, layers=2, **SMALL)
    assert search(detector, splits, tmp_path).run_heads(phase(heads)).result.failed == 0


def test_a_decoder_leaves_c2_out_where_no_block_reads_it(detector):
    reads, does_not = Pyramid.parse("0,1,0,0,0:1,1,0,0,0:2,2,0,0,0"), Pyramid.parse("1,1,0,0,0:1,1,0,0,0:2,2,0,0,0")
    assert [make_decoder(detector, p, None, 8, 8).num_inputs for p in (reads, does_not)] == [4, 3]
