"""The cache of a backbone's features: which views it holds, on which canvas, and where it lies."""

import pytest
import torch
from coco_folders import CocoFolder, picture
from rich.filesize import decimal
from torch import Tensor

from msnas.data.augmentation import View
from msnas.data.opening import open_data
from msnas.detectors.fcos import FCOS
from msnas.engine.devices import Hardware
from msnas.errors import ConfigError, DataError
from msnas.families.nas_fcos.cache_options import CacheOptions
from msnas.families.nas_fcos.caching import cache_features, cached_part
from msnas.families.nas_fcos.decoder_features import DecoderFeatures
from supernet.nas_fcos.fcos_encoder import FcosEncoder

CPU, HARDWARE = torch.device("cpu"), Hardware(threads=1)
NOWHERE = CacheOptions(memory_limit=0)  # in memory
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def train(splits, detector):
    return cache_features(detector, splits.supernet_train, hardware=HARDWARE, options=CacheOptions(views=2, flip=1.0))


@pytest.fixture(scope="module")
def held_out(splits, detector):
    return cache_features(detector, splits.search_val, hardware=HARDWARE)


@pytest.fixture
def mixed(folder: CocoFolder):
    """Six images of 64 x 48 pixels, the first two of them upright."""
    for record in folder.train["images"][:2]:
        picture(48, 64, seed=record["id"]).save(folder.images / record["file_name"])
        record |= {"width": 48, "height": 64}
    return open_data(folder.write().settings()).train


def small_detector() -> FCOS:
    torch.manual_seed(0)
    encoder = FcosEncoder("fcos", backbone="resnet18", channels=8, width=0.25)
    return FCOS(encoder, num_classes=2, short_side=32, long_side=64)


def levels(features: DecoderFeatures) -> tuple[Tensor, ...]:
    (bucket,) = features.buckets
    return bucket.features


def test_cached_features_are_those_of_the_backbone(splits, detector, held_out):
    image, _ = splits.search_val.load(2)
    with torch.inference_mode():
        expected = detector.eval().encoder.backbone(detector.transform.normalize(image)[None])
    cached = held_out.batch([2], CPU).features
    for level, feature in zip(cached, expected, strict=True):
        torch.testing.assert_close(level, feature, rtol=1e-2, atol=1e-3)


def test_an_epoch_takes_every_image_once_in_its_own_view(train):
    steps = train.training_rows(4, seed=1)
    for epoch in range(2):
        rows = [row for _ in range(train.images // 4) for row in next(steps)]
        assert sorted(rows) == list(range(epoch * train.images, (epoch + 1) * train.images))


def test_a_flipped_view_has_flipped_targets(train):
    (bucket,) = train.buckets
    assert not torch.equal(bucket.distances[0], bucket.distances[train.images])
    assert train.views == 2


def test_features_beyond_the_memory_limit_lie_on_disk_and_are_equal(splits, detector, held_out, tmp_path):
    on_disk = cache_features(detector, splits.search_val, hardware=HARDWARE, folder=tmp_path / "cache", options=NOWHERE)
    assert sum(f.stat().st_size for f in (tmp_path / "cache").glob("*.f16")) == on_disk.memory
    for stored, kept in zip(levels(on_disk), levels(held_out), strict=True):
        assert torch.equal(stored, kept)


def test_what_a_cache_will_take_is_said_before_it_is_made(splits, detector, tmp_path, caplog):
    with caplog.at_level("INFO", "msnas"):
        cached = cache_features(detector, splits.search_val, hardware=HARDWARE)
        cache_features(detector, splits.search_val, hardware=HARDWARE, folder=tmp_path / "cache", options=NOWHERE)
    said = f"Cached features will take {decimal(cached.memory)} of"
    assert [record.getMessage() for record in caplog.records] == [f"{said} memory.", f"{said} the disk, in cache."]


@pytest.mark.parametrize(("weights_in_turn", "times"), [("aa", 1), ("ab", 2)])
def test_a_cache_on_disk_is_computed_once_for_the_same_weights(splits, detector, tmp_path, weights_in_turn, times):
    told: list[int] = []
    for weights in weights_in_turn:
        cache_features(
            detector,
            splits.search_val,
            hardware=HARDWARE,
            folder=tmp_path,
            options=NOWHERE,
            fingerprint={"weights": weights},
            progress=lambda done, _: told.append(done),
        )
    assert told == [len(splits.search_val)] * times


def test_features_that_fit_nowhere_are_one_clear_error(splits, detector):
    with pytest.raises(DataError, match=r"must fit into 0 bytes of memory"):
        cache_features(detector, splits.search_val, hardware=HARDWARE, options=NOWHERE)


def test_a_pyramids_cache_holds_its_five_outputs(detector, held_out):
    cache = held_out.through(detector.encoder.neck, hardware=HARDWARE)
    assert [tuple(feature.shape[1:]) for feature in levels(cache)] == [
        (8, 8, 8), (8, 4, 4), (8, 2, 2), (8, 1, 1), (8, 1, 1),
    ]  # fmt: skip


def test_a_pyramids_outputs_beyond_the_memory_limit_lie_on_disk_and_are_equal(detector, held_out, tmp_path):
    neck = detector.encoder.neck
    kept = held_out.through(neck, hardware=HARDWARE)
    on_disk = held_out.through(neck, hardware=HARDWARE, folder=tmp_path, memory_limit=0)
    assert sum(file.stat().st_size for file in tmp_path.glob("*.f16")) == on_disk.memory
    assert all(torch.equal(a, b) for a, b in zip(levels(on_disk), levels(kept), strict=True))


def test_a_feature_that_no_decoder_reads_is_not_cached(splits, detector, held_out):
    three = cache_features(detector, splits.search_val, hardware=HARDWARE, coarsest=3)
    assert len(levels(three)) == 3
    assert all(torch.equal(a, b) for a, b in zip(levels(three), levels(held_out)[1:], strict=True))


def test_upright_images_have_a_canvas_of_their_own(mixed):
    cached = cache_features(small_detector(), mixed, hardware=HARDWARE)
    assert {bucket.rows: tuple(bucket.features[0].shape[2:]) for bucket in cached.buckets} == {
        (2, 3, 4, 5): (8, 16),
        (0, 1): (16, 8),
    }


def test_features_on_the_canvas_of_their_bucket_are_those_of_the_image_alone(mixed):
    detector = small_detector()
    cached = cache_features(detector, mixed, hardware=HARDWARE)
    for index in (1, 4):
        alone = cache_features(detector, mixed.subset([index]), hardware=HARDWARE).batch([0], CPU)
        batch = cached.batch([index], CPU)
        assert torch.equal(batch.targets.distances, alone.targets.distances)
        for level, own in zip(batch.features, alone.features, strict=True):
            torch.testing.assert_close(level, own, rtol=1e-2, atol=1e-2)


def test_steps_keep_to_one_bucket_and_see_each_image_as_often(mixed):
    cached = cache_features(small_detector(), mixed, hardware=HARDWARE)
    rows = cached.training_rows(2, seed=3)
    steps = [next(rows) for _ in range(3 * 5)]  # five epochs of six images
    assert all({row < 2 for row in step} != {True, False} for step in steps)
    assert sorted(row for step in steps for row in step) == sorted(list(range(6)) * 5)


def test_cut_views_lie_on_one_square_canvas(mixed):
    options = CacheOptions(crop=True, views=2)
    cached = cache_features(small_detector(), mixed, hardware=HARDWARE, options=options)
    (bucket,) = cached.buckets
    assert bucket.rows == tuple(range(12))
    assert set(cached.sizes) == {(32, 32)}


def test_the_targets_of_a_cut_view_are_those_of_its_window():
    view = View.drawn(4, (48, 64), flip=0.0, square=32)
    top, left, height, width = view.window
    assert (height, width) == (32, 32)
    box = torch.tensor([[left + 2.0, top + 3.0, left + 12.0, top + 40.0]])
    target = {"boxes": box, "labels": torch.tensor([1]), "area": torch.tensor([370.0]), "image_id": 1}
    assert view.of_target(target)["boxes"].tolist() == [[2, 3, 12, 32]]


def test_the_images_that_are_cached_are_drawn_by_the_seed_and_keep_their_order(splits):
    whole = splits.supernet_train
    parts = [cached_part(whole, 7, seed=seed) for seed in (1, 1, 2)]
    first, same, other = ([image.id for image in part.images] for part in parts)
    assert first == same != other
    assert len(first) == 7
    assert first == [image.id for image in whole.images if image.id in first]


@pytest.mark.parametrize("images", [None, 10**6])
def test_all_images_are_cached_where_no_fewer_are_asked_for(splits, images):
    assert cached_part(splits.supernet_train, images, seed=1) is splits.supernet_train


def test_a_cache_of_no_images_is_refused():
    with pytest.raises(ConfigError, match=r"cache\.images must be at least 1, but got 0"):
        CacheOptions(images=0)
