"""Features of a frozen prefix: those of each image alone, mirrored too, kept once, shared by splits and processes."""

import pickle
import subprocess
import sys
import threading

import pytest
import tiny_pipeline
import torch
from frozen_prefix import CHANNELS, make_frozen_prefix
from tiny_detectors import TINY

from msnas.data.batches import Batches
from msnas.data.cached_dataset import CachedDataset
from msnas.data.fixed_views import FixedViews
from msnas.detectors.faster_rcnn import FasterRCNN
from msnas.engine.devices import Hardware
from msnas.engine.evaluation import detect
from msnas.engine.loop import Training, train
from msnas.engine.schedule import Schedule
from msnas.errors import ConfigError, DataError
from msnas.families.strides.prefix_features import cache_images

HARDWARE = Hardware(threads=1)
SIZES = {"short_side": 64, "long_side": 64, "score_threshold": 0.0}


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    return tiny_pipeline.splits(str(tmp_path_factory.mktemp("shapes")))


def detector_of(splits, scale=1.0):
    return FasterRCNN(make_frozen_prefix(scale), **{**TINY, **SIZES, "num_classes": len(splits.train.classes)})


@pytest.fixture(scope="module")
def detector(splits):
    return detector_of(splits)


@pytest.fixture(scope="module")
def cache(detector, splits):
    return cache_images(detector, [splits.train, splits.search_val], hardware=HARDWARE)


def padded(image, divisor):
    height, width = (-side % divisor for side in image.shape[1:])
    return torch.nn.functional.pad(image / 255 if image.dtype == torch.uint8 else image, (0, width, 0, height))


def of_pixels(detector, image):
    with torch.inference_mode():
        return detector.encoder.prefix(detector.transform.normalize(image)[None])


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_features_are_those_of_the_image_alone_in_half_precision(detector, splits, cache, flip):
    image, _ = splits.train.load(3, seed=5, flip=flip)
    cached, _ = CachedDataset(splits.train, cache).load(3, seed=5, flip=flip)
    features = of_pixels(detector, image)
    assert cached.strides == tuple(features)
    for kept, feature in zip(cached.maps, features.values(), strict=True):
        assert torch.equal(kept, feature[0].half())


def test_features_do_not_depend_on_what_is_cached_beside_them(detector, splits, cache):
    alone = cache_images(detector, [splits.train.subset([3])], hardware=HARDWARE)
    file = str(splits.train.file(3))
    pairs = zip(alone.image(file, mirrored=True).maps, cache.image(file, mirrored=True).maps, strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_the_same_seed_mirrors_the_same_images_and_their_boxes(splits, cache):
    cached = CachedDataset(splits.train, cache)
    for seed in range(8):
        (_, target), (_, expected) = (data.load(seed, seed=seed) for data in (cached, splits.train))
        assert torch.equal(target["boxes"], expected["boxes"])


def test_batches_of_features_have_the_targets_of_batches_of_pixels(splits, cache):
    pixels = Batches(splits.train, 4, seed=3)
    features = Batches(CachedDataset(splits.train, cache), 4, seed=3)
    for step in (0, 20):
        for a, b in zip(pixels.batch(step)[1], features.batch(step)[1], strict=True):
            assert a["image_id"] == b["image_id"]
            assert torch.equal(a["boxes"], b["boxes"])


def test_losses_on_features_are_those_on_pixels(detector, splits, cache):
    totals = []
    for data in (splits.train, CachedDataset(splits.train, cache)):
        images, targets = Batches(data, 4, seed=3).batch(0)
        torch.manual_seed(0)
        totals.append(sum(loss.item() for loss in detector.train()(images, targets).values()))
    assert totals[1] == pytest.approx(totals[0], rel=5e-3)


def test_detections_on_features_lie_where_those_on_pixels_lie(detector, splits, cache):
    pixels = detect(detector, splits.search_val, hardware=HARDWARE)
    features = detect(detector, CachedDataset(splits.search_val, cache), hardware=HARDWARE)
    best = [max(found, key=lambda one: one["score"]) for found in (pixels, features)]
    assert best[1]["score"] == pytest.approx(best[0]["score"], abs=5e-3)
    assert best[1]["bbox"] == pytest.approx(best[0]["bbox"], abs=0.5)


def test_the_training_loop_runs_on_features_as_it_is(splits, cache):
    model, data = detector_of(splits), CachedDataset(splits.train, cache)
    before = model.encoder.first.weight.clone()
    training = Training(schedule=Schedule(steps=3, batch=4, lr=0.01), seed=0, stage="test", hardware=HARDWARE)
    train(model, Batches(data, 4, seed=0), training)
    assert torch.equal(model.encoder.first.weight, before)
    assert model.encoder.groups[0].weight.grad is not None


def test_images_of_two_splits_are_cached_once(cache, splits):
    sizes = {str(data.file(i)) for data in (splits.train, splits.search_val) for i in range(len(data))}
    numbers = CHANNELS[0] * 8 * 8 + CHANNELS[1] * 4 * 4
    assert len(sizes) == len(splits.train)
    assert cache.memory == len(sizes) * 2 * 2 * numbers


def test_a_cache_in_a_folder_is_equal_and_found_again(detector, splits, cache, tmp_path):
    told = []
    for _ in range(2):
        mapped = cache_images(
            detector, [splits.train], hardware=HARDWARE, folder=tmp_path, memory_limit=0,
            progress=lambda done, _: told.append(done),
        )  # fmt: skip
    assert told == list(range(1, len(splits.train) + 1))
    assert all(torch.equal(a, b) for a, b in zip(mapped.stored.levels, cache.stored.levels, strict=True))


def test_another_fingerprint_has_another_folder(detector, splits, tmp_path):
    for weights in ("a", "b"):
        cache_images(
            detector, [splits.search_val], hardware=HARDWARE, folder=tmp_path, memory_limit=0,
            fingerprint={"weights": weights},
        )  # fmt: skip
    assert len(list(tmp_path.iterdir())) == 2


def test_a_cache_that_was_broken_off_is_made_anew(detector, splits, tmp_path):
    def stop(done, _):
        raise InterruptedError

    options = {"hardware": HARDWARE, "folder": tmp_path, "memory_limit": 0}
    with pytest.raises(InterruptedError):
        cache_images(detector, [splits.search_val], progress=stop, **options)
    whole = cache_images(detector, [splits.search_val], **options)
    assert all((level != 0).any() for level in whole.stored.levels)
    assert len(list(tmp_path.glob("*/done.json"))) == 1


def test_of_two_that_make_the_same_cache_the_second_waits_and_takes_it(detector, splits, tmp_path):
    made, data = [], splits.search_val

    def make():
        told = lambda done, _: made.append(done)  # noqa: E731
        cache_images(detector, [data], hardware=HARDWARE, folder=tmp_path, memory_limit=0, progress=told)

    threads = [threading.Thread(target=make) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == list(range(1, len(data) + 1))


def test_an_image_file_that_was_written_anew_has_another_cache(detector, splits, tmp_path):
    data, file = splits.search_val, splits.search_val.file(0)
    for _ in range(2):
        cache_images(detector, [data], hardware=HARDWARE, folder=tmp_path, memory_limit=0)
        file.touch()
    assert len(list(tmp_path.iterdir())) == 2


def test_a_mapped_cache_travels_to_another_process_as_a_path(detector, splits, tmp_path):
    mapped = cache_images(detector, [splits.train], hardware=HARDWARE, folder=tmp_path / "c", memory_limit=0)
    data = CachedDataset(splits.train, mapped)
    text = pickle.dumps(mapped)
    (tmp_path / "data.pickle").write_bytes(text)
    code = (
        "import pickle, sys; c = pickle.load(open(sys.argv[1], 'rb')); print(float(c.stored.levels[0].float().sum()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "data.pickle")], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) == pytest.approx(float(data.features.stored.levels[0].float().sum()))
    assert len(text) < mapped.memory / 4


def test_features_beyond_half_precision_are_one_line(splits):
    with pytest.raises(DataError, match=r"must lie inside float16 \(up to 65504\), but .* has") as raised:
        cache_images(detector_of(splits, scale=1e7), [splits.search_val], hardware=HARDWARE)
    assert "\n" not in str(raised.value)


def test_features_that_fit_nowhere_are_one_line(detector, splits):
    with pytest.raises(DataError, match=r"must fit into 0 bytes of memory"):
        cache_images(detector, [splits.search_val], hardware=HARDWARE, memory_limit=0)


VIEWS = FixedViews(number=3, jitter=(0.5, 2.0), crop=True)


@pytest.fixture(scope="module")
def seen(detector, splits):
    """The training images in three views."""
    cache = cache_images(detector, [splits.train, splits.search_val], hardware=HARDWARE, views=VIEWS)
    return CachedDataset(splits.train, cache, VIEWS)


def loaded(data, index, seed, flip=0.5):
    return data.load(index, seed=seed, flip=flip, jitter=VIEWS.jitter, crop=VIEWS.crop)


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_the_features_of_a_view_are_those_of_the_image_seen_so(detector, splits, seen, flip):
    views = VIEWS.of(splits.train.images[3].file_name, splits.train.size(3))
    for seed in range(8):
        image = views[VIEWS.choose(seed, flip)[1]].of_image(splits.train.load(3)[0])
        cached, _ = loaded(seen, 3, seed, flip)
        features = detector.encoder.prefix(
            detector.transform.normalize(padded(image.flip(2) if flip else image, detector.encoder.divisor))[None]
        )
        assert cached.size == tuple(image.shape[1:])
        assert all(torch.equal(a, b[0].half()) for a, b in zip(cached.maps, features.values(), strict=True))


def test_every_view_of_an_image_is_drawn_and_differs_in_scale(seen):
    sizes = {loaded(seen, 3, seed)[0].maps[0].sum().item() for seed in range(40)}
    assert len(sizes) == 2 * VIEWS.number  # and the mirror image of each


def test_boxes_follow_their_view(splits, seen):
    views = VIEWS.of(splits.train.images[3].file_name, splits.train.size(3))
    for seed in range(8):
        wanted = views[VIEWS.choose(seed, 0.0)[1]].of_target(splits.train.target(3))
        assert torch.equal(loaded(seen, 3, seed, 0.0)[1]["boxes"], wanted["boxes"])


def test_without_a_seed_an_image_is_as_it_is(splits, seen, cache):
    as_it_is = CachedDataset(splits.train, cache)
    assert all(torch.equal(a, b) for a, b in zip(seen.load(3)[0].maps, as_it_is.load(3)[0].maps, strict=True))


def test_other_scales_than_those_of_the_views_are_refused(seen):
    with pytest.raises(ConfigError, match="not possible on the features"):
        seen.load(0, seed=0, jitter=(0.9, 1.1), crop=True)


@pytest.mark.parametrize("changed", [{"jitter": (0.8, 1.2)}, {"crop": True}])
def test_jitter_and_crops_are_refused(splits, cache, changed):
    with pytest.raises(ConfigError, match="not possible on the features"):
        CachedDataset(splits.train, cache).load(0, seed=0, **changed)


def test_a_subset_shares_the_features(splits, cache):
    part = CachedDataset(splits.train, cache).subset([5, 2])
    assert part.image_ids == [splits.train.image_ids[index] for index in (5, 2)]
    assert part.memory == cache.memory
    assert torch.equal(part.load(1)[0].maps[0], CachedDataset(splits.train, cache).load(2)[0].maps[0])
