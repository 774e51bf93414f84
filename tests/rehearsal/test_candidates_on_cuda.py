"""Candidates of the families on the pretended GPU: trained and judged, with the scores of the CPU."""

import copy
from collections import Counter

import numpy as np
import pytest
import tiny_pipeline
import torch
from pretended_cuda import CPU, CUDA, place_of, pretended_cuda

from msnas.detectors.fcos import FCOS
from msnas.engine import feature_storage, gpu_turns
from msnas.engine.detector_scoring import CandidateEvaluator
from msnas.engine.devices import Hardware
from msnas.engine.recipe import Recipe
from msnas.families.nas_fcos.caching import cache_features
from msnas.families.nas_fcos.decoder_recipe import DecoderRecipe
from msnas.families.nas_fcos.decoder_scoring import DecoderData, DecoderEvaluator, train_decoder
from supernet.nas_fcos.decoder import PUBLISHED
from supernet.nas_fcos.fcos_encoder import DecoderNet, FcosEncoder, make_pyramid
from supernet.nas_fcos.head_module import HeadModule
from supernet.nas_fcos.pyramid_space import PyramidSpace

GPU = Hardware(device=torch.device("cuda", 0), threads=1)
PYRAMIDS = PyramidSpace(backbone="resnet18", channels=8, blocks=4, input_size=(64, 64), num_classes=4)


@pytest.fixture(autouse=True)
def one_card(monkeypatch):
    monkeypatch.setattr(gpu_turns, "_identity", lambda device: "pretended")
    monkeypatch.setattr(feature_storage, "free_memory", lambda device: 1e9)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tmp_path_factory.mktemp("shapes"))


def assert_equal_on_both(score):
    """`score` of some hardware is the same evaluation on the CPU and on the pretended GPU."""
    on_cpu = score(Hardware(threads=1))
    with pretended_cuda():
        on_gpu = score(GPU)
    assert (on_cpu.reason, on_gpu.reason, on_gpu.recipe["device"]) == ("", "", "cuda")
    assert on_gpu.metrics == pytest.approx(on_cpu.metrics, rel=1e-5)  # a GPU has its own deformable convolution


@pytest.mark.parametrize("kind", ["finetune", "bn+finetune"])
def test_a_path_of_the_supernet_has_the_score_of_the_cpu(folder, kind):
    plain = tiny_pipeline.evaluator(folder)
    recipe = Recipe(kind=kind, iterations=2, batch=4, bn_images=16, bn_batch=16)

    def score(hardware):
        parts = copy.deepcopy(plain.supernet), plain.make_batches, plain.score_data
        evaluator = CandidateEvaluator(*parts, space=plain.space, recipe=recipe, seed=5, hardware=hardware)
        return evaluator(plain.space.sample(np.random.default_rng(0)))

    assert_equal_on_both(score)


@pytest.mark.parametrize("reward", ["loss", "ap"])
def test_a_decoder_on_cached_features_has_the_score_of_the_cpu(folder, reward):
    splits = tiny_pipeline.splits(folder)
    classes = len(splits.train.classes)
    encoder = FcosEncoder(str(PUBLISHED.pyramid), backbone="resnet18", channels=8, width=0.25)
    built = FCOS(encoder, num_classes=classes, short_side=64, long_side=64)
    recipe = DecoderRecipe(iterations=2, batch=4, lr=2e-3, score_batch=4, reward=reward)

    def make_decoder(pyramid):
        neck = make_pyramid(pyramid, encoder.backbone.channels, 8, 8)
        return DecoderNet(neck, HeadModule(None, channels=8, num_classes=classes))

    def score(hardware):
        detector = copy.deepcopy(built)
        caches = [cache_features(detector, part, hardware=hardware) for part in (splits.val, splits.search_val)]
        data = DecoderData(*caches, splits.search_val, detector)
        evaluator = DecoderEvaluator(data, make_decoder, space=PYRAMIDS, recipe=recipe, seed=7, hardware=hardware)
        return evaluator((0, 1, 0, 3, 0, 1, 2, 0, 3, 1, 3, 3, 4, 3, 0, 2, 2, 3, 0, 1))

    assert_equal_on_both(score)


def test_the_training_of_a_decoder_itself_waits_once_for_the_losses_of_many_steps(folder):
    splits = tiny_pipeline.splits(folder)
    encoder = FcosEncoder("fcos", backbone="resnet18", channels=8, width=0.25)
    detector = FCOS(encoder, num_classes=len(splits.train.classes), short_side=64, long_side=64)
    decoder = DecoderNet(encoder.neck, detector.head)
    with pretended_cuda() as waits:
        cached = cache_features(detector, splits.val, hardware=GPU)
        waits.clear()
        train_decoder(decoder, cached, DecoderRecipe(iterations=4, batch=2), seed=7, hardware=GPU)
        ours = {wait.operation: times for wait, times in Counter(waits).items() if "decoder_scoring" in wait.file}
    assert sum(ours.values()) == 1, ours


@pytest.mark.parametrize(("free", "place"), [(1e9, CUDA), (1e3, CPU)])
def test_cached_features_lie_on_the_gpu_where_it_has_room_and_are_converted_there(folder, monkeypatch, free, place):
    monkeypatch.setattr(feature_storage, "free_memory", lambda device: free)
    splits = tiny_pipeline.splits(folder)
    encoder = FcosEncoder("fcos", backbone="resnet18", channels=8, width=0.25)
    detector = FCOS(encoder, num_classes=len(splits.train.classes), short_side=64, long_side=64)
    with pretended_cuda() as waits:
        cached = cache_features(detector, splits.val, hardware=GPU)
        waits.clear()
        features = cached.batch([2, 0, 3], GPU.device).features
        assert {place_of(level) for bucket in cached.buckets for level in bucket.features} == {place}
        assert {place_of(feature) for feature in features} == {CUDA}
    assert not waits  # where they lie on the CPU, they come from pinned memory
    on_cpu = cache_features(detector, splits.val, hardware=Hardware(threads=1))
    expected = on_cpu.batch([2, 0, 3], torch.device("cpu")).features
    assert all(torch.equal(feature, other) for feature, other in zip(features, expected, strict=True))
