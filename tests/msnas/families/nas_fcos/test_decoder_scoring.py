"""Decoders trained and judged on cached features: the cache, the recipe, and that scores depend on nothing else."""

from typing import Any

import pytest
import tiny_pipeline
import torch

from msnas.detectors.fcos import FCOS
from msnas.detectors.fcos_targets import losses
from msnas.engine.devices import Hardware
from msnas.errors import ConfigError, DataError
from msnas.families.nas_fcos.decoder_features import cache_features
from msnas.families.nas_fcos.decoder_recipe import DecoderRecipe
from msnas.families.nas_fcos.decoder_scoring import (
    DecoderData,
    DecoderEvaluator,
    Predictor,
    train_decoder,
)
from supernet.nas_fcos.decoder import PUBLISHED, Pyramid
from supernet.nas_fcos.fcos_encoder import DecoderNet, FcosEncoder, make_pyramid
from supernet.nas_fcos.head_module import HeadModule
from supernet.nas_fcos.pyramid_space import PyramidSpace

HARDWARE = Hardware(threads=1)
SPACE = PyramidSpace(backbone="resnet18", channels=8, blocks=4, input_size=(64, 64), num_classes=4)
FIRST, SECOND = (0, 1, 0, 3, 0, 1, 2, 0, 3, 1, 3, 3, 4, 3, 0, 2, 2, 3, 0, 1), (1, 1, 3, 3, 0) * 4
RECIPE = DecoderRecipe(iterations=3, batch=4, lr=2e-3, score_batch=4)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    return tiny_pipeline.splits(str(tmp_path_factory.mktemp("shapes")))


@pytest.fixture(scope="module")
def detector(splits):
    torch.manual_seed(0)
    encoder = FcosEncoder(str(PUBLISHED.pyramid), backbone="resnet18", channels=8, width=0.25)
    return FCOS(encoder, num_classes=len(splits.train.classes), short_side=64, long_side=64)


@pytest.fixture(scope="module")
def data(splits, detector):
    train = cache_features(detector, splits.supernet_train, hardware=HARDWARE, views=2, flip=1.0)
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


def test_cached_features_are_those_of_the_backbone(splits, detector, data):
    image, _ = splits.search_val.load(2)
    with torch.inference_mode():
        expected = detector.eval().encoder.backbone(detector.transform.normalize(image)[None])
    cached, _ = data.held_out.batch([2], torch.device("cpu"))
    for level, feature in zip(cached, expected, strict=True):
        torch.testing.assert_close(level, feature, rtol=1e-2, atol=1e-3)


def test_losses_on_cached_features_are_the_detectors_own(splits, detector, data):
    image, target = splits.search_val.load(0)
    whole = DecoderNet(detector.encoder.neck, detector.head)
    cached = Predictor(whole, data.held_out, 1, HARDWARE)
    rows, predictions, targets = next(iter(cached._batches()))
    parts = losses(*predictions, targets, data.held_out.where)
    detector.train()
    for norm in [m for m in detector.modules() if isinstance(m, torch.nn.BatchNorm2d)]:
        norm.eval()
    own = detector([image], [target])
    assert rows == range(1)
    for name, part in own.items():
        assert parts[name].item() == pytest.approx(part.item(), rel=0.02)


def test_an_epoch_takes_every_image_once_in_its_own_view(data):
    images = data.train.images
    steps = -(-images // 4)
    for epoch in range(2):
        rows = [row for step in range(steps) for row in data.train.rows_of_step(epoch * steps + step, 4, 1)]
        assert set(rows) == set(range(epoch * images, (epoch + 1) * images))


def test_a_flipped_view_has_flipped_targets(splits, data):
    (first, flipped) = (data.train.distances[row] for row in (0, data.train.images))
    assert not torch.equal(first, flipped)
    assert data.train.views == 2


def test_features_beyond_the_memory_limit_lie_on_disk_and_are_equal(splits, detector, data, tmp_path):
    on_disk = cache_features(detector, splits.search_val, hardware=HARDWARE, folder=tmp_path / "cache", memory_limit=0)
    assert sum(f.stat().st_size for f in (tmp_path / "cache").glob("*.f16")) == on_disk.memory
    for stored, kept in zip(on_disk.features, data.held_out.features, strict=True):
        assert torch.equal(stored, kept)


def test_what_a_cache_will_take_is_said_before_it_is_made(splits, detector, tmp_path, caplog):
    with caplog.at_level("INFO", "msnas"):
        cached = cache_features(detector, splits.search_val, hardware=HARDWARE)
        cache_features(detector, splits.search_val, hardware=HARDWARE, folder=tmp_path / "cache", memory_limit=0)
    said = f"Cached features will take {cached.memory / 1e9:.3g} GB of"
    assert [record.getMessage() for record in caplog.records] == [f"{said} memory.", f"{said} the disk, in cache."]


def test_a_complete_cache_on_disk_is_not_computed_again(splits, detector, tmp_path):
    told: list[int] = []
    for _ in range(2):
        cache_features(
            detector,
            splits.search_val,
            hardware=HARDWARE,
            folder=tmp_path,
            memory_limit=0,
            fingerprint={"weights": "a"},
            progress=lambda done, _: told.append(done),
        )
    assert told == [len(splits.search_val)]


def test_a_cache_of_other_weights_is_computed_anew(splits, detector, tmp_path):
    told: list[int] = []
    for weights in ("a", "b"):
        cache_features(
            detector,
            splits.search_val,
            hardware=HARDWARE,
            folder=tmp_path,
            memory_limit=0,
            fingerprint={"weights": weights},
            progress=lambda done, _: told.append(done),
        )
    assert told == [len(splits.search_val)] * 2


def test_features_that_fit_nowhere_are_one_clear_error(splits, detector):
    with pytest.raises(DataError, match=r"must fit into 0\.0 GB of memory"):
        cache_features(detector, splits.search_val, hardware=HARDWARE, memory_limit=0)


def test_a_pyramids_cache_holds_its_five_outputs(detector, data):
    cache = data.held_out.through(detector.encoder.neck, hardware=HARDWARE)
    assert [tuple(feature.shape[1:]) for feature in cache.features] == [
        (8, 8, 8), (8, 4, 4), (8, 2, 2), (8, 1, 1), (8, 1, 1),
    ]  # fmt: skip


def test_a_pyramids_outputs_beyond_the_memory_limit_lie_on_disk_and_are_equal(detector, data, tmp_path):
    neck = detector.encoder.neck
    kept = data.held_out.through(neck, hardware=HARDWARE)
    on_disk = data.held_out.through(neck, hardware=HARDWARE, folder=tmp_path, memory_limit=0)
    assert sum(file.stat().st_size for file in tmp_path.glob("*.f16")) == on_disk.memory
    assert all(torch.equal(a, b) for a, b in zip(on_disk.features, kept.features, strict=True))


def test_a_feature_that_no_decoder_reads_is_not_cached(splits, detector, data):
    three = cache_features(detector, splits.search_val, hardware=HARDWARE, coarsest=3)
    assert len(three.features) == 3
    assert all(torch.equal(a, b) for a, b in zip(three.features, data.held_out.features[1:], strict=True))


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
    four, _ = data.held_out.batch([0], torch.device("cpu"))
    three, _ = data.held_out.batch([0], torch.device("cpu"), coarsest=decoder.num_inputs)
    assert len(three) == 3
    assert torch.equal(decoder(four)[0], decoder(three)[0])
    assert len(data.held_out.through(decoder.pyramid, hardware=HARDWARE).features) == 5


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
