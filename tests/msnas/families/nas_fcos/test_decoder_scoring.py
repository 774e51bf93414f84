"""Decoders trained and judged on cached features: the cache, the recipe, and that scores depend on nothing else."""

from typing import Any

import pytest
import torch

from msnas.detectors.fcos_targets import losses
from msnas.engine.devices import Hardware
from msnas.errors import ConfigError, TrainingError
from msnas.families.nas_fcos import decoder_scoring
from msnas.families.nas_fcos.cache_options import CacheOptions
from msnas.families.nas_fcos.caching import cache_features
from msnas.families.nas_fcos.decoder_recipe import DecoderRecipe
from msnas.families.nas_fcos.decoder_scoring import (
    DecoderData,
    DecoderEvaluator,
    Predictor,
    train_decoder,
)
from supernet.nas_fcos.decoder import Pyramid
from supernet.nas_fcos.fcos_encoder import DecoderNet, make_pyramid
from supernet.nas_fcos.head_module import HeadModule
from supernet.nas_fcos.pyramid_space import PyramidSpace

pytestmark = pytest.mark.usefixtures("one_thread")
HARDWARE = Hardware(threads=1)
SPACE = PyramidSpace(backbone="resnet18", channels=8, blocks=4, input_size=(64, 64), num_classes=4)
FIRST, SECOND = (0, 1, 0, 3, 0, 1, 2, 0, 3, 1, 3, 3, 4, 3, 0, 2, 2, 3, 0, 1), (1, 1, 3, 3, 0) * 4
RECIPE = DecoderRecipe(iterations=3, batch=4, lr=2e-3, score_batch=4)


@pytest.fixture(scope="module")
def data(splits, detector):
    train = cache_features(detector, splits.supernet_train, hardware=HARDWARE, options=CacheOptions(views=2, flip=1.0))
    held_out = cache_features(detector, splits.search_val, hardware=HARDWARE)
    return DecoderData(train, held_out, splits.search_val, detector)


@pytest.fixture(scope="module")
def make_decoder(detector):
    def make(pyramid: Pyramid) -> DecoderNet:
        neck = make_pyramid(pyramid, detector.encoder.backbone.channels, 8, 8)
        return DecoderNet(neck, HeadModule(None, channels=8, num_classes=detector.config["num_classes"]))

    return make


@pytest.fixture
def make_evaluator(data, make_decoder):
    def make(**changes: Any) -> DecoderEvaluator:
        recipe = DecoderRecipe(iterations=3, batch=4, lr=2e-3, score_batch=4, **changes)
        return DecoderEvaluator(data, make_decoder, space=SPACE, recipe=recipe, seed=7, hardware=HARDWARE)

    return make


def test_fp16_is_refused_for_decoders(data, make_decoder):
    options = {"space": SPACE, "recipe": RECIPE, "seed": 7, "hardware": Hardware(precision="fp16")}
    with pytest.raises(ConfigError, match="precision=fp16; use fp32 or bf16"):
        DecoderEvaluator(data, make_decoder, **options)


def test_losses_on_cached_features_are_the_detectors_own(splits, detector, data):
    image, target = splits.search_val.load(0)
    whole = DecoderNet(detector.encoder.neck, detector.head)
    cached = Predictor(whole, data.held_out, 1, HARDWARE)
    batch, predictions = next(iter(cached._batches()))
    parts = losses(*predictions, batch.targets, batch.where)
    detector.train()
    for norm in [m for m in detector.modules() if isinstance(m, torch.nn.BatchNorm2d)]:
        norm.eval()
    own = detector([image], [target])
    assert batch.rows == (0,)
    for name, part in own.items():
        assert parts[name].item() == pytest.approx(part.item(), rel=0.02)


def test_a_decoder_scored_before_and_after_another_has_the_same_score(make_evaluator):
    evaluator = make_evaluator()
    first, other, again = (evaluator(genome) for genome in (FIRST, SECOND, FIRST))
    assert first.ok, first.reason
    assert first.score == again.score != other.score


def test_another_replicate_has_another_score(make_evaluator):
    evaluator = make_evaluator()
    assert evaluator(FIRST, 1).score != evaluator(FIRST, 0).score


def test_the_reward_is_minus_the_sum_of_the_three_losses(make_evaluator):
    metrics = make_evaluator()(FIRST).metrics
    parts = [value for name, value in metrics.items() if name.startswith("loss")]
    assert len(parts) == 3
    assert metrics["reward"] == pytest.approx(-sum(parts))


def test_the_reward_may_be_the_ap(make_evaluator):
    evaluation = make_evaluator(reward="ap")(FIRST)
    assert evaluation.score == (evaluation.metrics["ap"],)
    assert 0 <= evaluation.metrics["ap50"] <= 1


@pytest.mark.usefixtures("without_onednn")
def test_a_decoder_of_every_operation_is_scored_in_half_precision(data, make_decoder):
    half = Hardware(threads=1, precision="bf16")
    evaluator = DecoderEvaluator(data, make_decoder, space=SPACE, recipe=RECIPE, seed=7, hardware=half)
    evaluation = evaluator((0, 1, 0, 1, 0, 1, 2, 2, 3, 1, 3, 3, 4, 4, 0, 2, 2, 4, 1, 1))
    assert evaluation.ok, evaluation.reason


def test_training_lowers_the_loss_on_held_out_images(data, make_decoder):
    def loss(iterations):
        recipe = DecoderRecipe(iterations=iterations, batch=8, lr=4e-3, polyak=0.5)
        torch.manual_seed(0)
        decoder = make_decoder(SPACE.decode(FIRST))
        trained = train_decoder(decoder, data.train, recipe, seed=0, hardware=HARDWARE)
        return sum(Predictor(trained, data.held_out, 4, HARDWARE).losses().values())

    assert loss(40) < 0.9 * loss(1)


def test_the_average_moves_by_a_tenth_of_the_way(data, make_decoder):
    recipe = DecoderRecipe(iterations=2, batch=4, lr=1e-2, polyak=0.9)
    torch.manual_seed(0)
    decoder = make_decoder(SPACE.decode(FIRST))
    one_step = DecoderRecipe(iterations=1, batch=4, lr=1e-2, polyak=0.9)
    torch.manual_seed(0)
    after_one = train_decoder(make_decoder(SPACE.decode(FIRST)), data.train, one_step, seed=0, hardware=HARDWARE)
    average = train_decoder(decoder, data.train, recipe, seed=0, hardware=HARDWARE)
    first, last = after_one.head.logits.weight, decoder.head.logits.weight
    torch.testing.assert_close(average.head.logits.weight, 0.9 * first + 0.1 * last)


def test_a_pyramid_over_c3_reads_the_last_three_features(data, detector):
    pyramid = Pyramid.parse("c3:0,1,0,0,0:1,1,0,0,0:2,2,0,0,0")
    head = HeadModule(None, channels=8, num_classes=2)
    decoder = DecoderNet(make_pyramid(pyramid, detector.encoder.backbone.channels, 8, 8), head).eval()
    four = data.held_out.batch([0], torch.device("cpu")).features
    three = data.held_out.batch([0], torch.device("cpu"), coarsest=decoder.num_inputs).features
    assert len(three) == 3
    assert torch.equal(decoder(four)[0], decoder(three)[0])
    (through,) = data.held_out.through(decoder.pyramid, hardware=HARDWARE).buckets
    assert len(through.features) == 5


@pytest.mark.parametrize("changes", [{"reward": "recall"}, {"iterations": 0}, {"batch": 1}, {"polyak": 1.0}])
def test_a_recipe_that_makes_no_sense_is_refused(changes):
    with pytest.raises(ConfigError):
        DecoderRecipe(**changes)


def test_a_decoder_that_diverges_is_a_failed_evaluation_with_its_reason(data, make_decoder):
    recipe = DecoderRecipe(iterations=5, batch=4, lr=1e30)
    evaluator = DecoderEvaluator(data, make_decoder, space=SPACE, recipe=recipe, seed=7, hardware=HARDWARE)
    evaluation = evaluator(FIRST)
    assert not evaluation.ok
    assert "loss must be finite" in evaluation.reason


def test_the_step_whose_loss_is_not_finite_is_named_though_it_is_looked_at_later(data, make_decoder, monkeypatch):
    seen, losses = [], decoder_scoring.losses

    def broken(*arguments):
        seen.append(losses(*arguments))
        worst = torch.nan if len(seen) == 2 else 1.0
        return {name: part * worst for name, part in seen[-1].items()}

    monkeypatch.setattr(decoder_scoring, "losses", broken)
    with pytest.raises(TrainingError, match=r"^Every loss must be finite, but got nan at step 1 of a decoder\.$"):
        train_decoder(make_decoder(SPACE.decode(FIRST)), data.train, RECIPE, seed=7, hardware=HARDWARE)
