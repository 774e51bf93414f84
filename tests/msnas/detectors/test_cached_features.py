"""Every detector reads features of a frozen prefix as it reads the images that they were made of."""

import numpy as np
import pytest
import timm
import torch
from tiny_detectors import scene

from msnas.config.compose import compose, groups
from msnas.data.cached_image import CachedImage
from msnas.setup.setup import Setup
from supernet.backbone import Backbone

SPACE = "space=msnas_timm space.backbone=mobilenetv3_small_050 space.channels=8 baseline.channels=8"
UNTRAINED = "backbone.weights=none backbone.train=full"  # what a frozen prefix does is done by hand
SIZES = "scale=tiny input=128x128 data.short_side=128 data.long_side=128 data.root=D"
CLASSES = ["a", "b", "c"]
DETECTORS = pytest.mark.parametrize("word", groups()["detector"])


@pytest.fixture
def family(word):
    return Setup(compose([*f"{SPACE} {UNTRAINED} {SIZES}".split(), f"detector={word}"])).family


@pytest.fixture
def path(family):
    return family.space.decode(family.space.sample(np.random.default_rng(0)))


def batch():
    """A square image with its targets, and its upper part: both are padded to 128 x 128 pixels."""
    [image, _], [target, _] = scene(masks=True)
    return [image, image[:, :96]], [target, {**target, "masks": target["masks"][:, :96]}]


@torch.no_grad()
def cached(detector, images):
    """The images as their features, which are not rounded here."""
    strides = tuple(detector.encoder.feature_strides)
    canvases = [torch.nn.functional.pad(detector.transform.normalize(i), (0, 0, 0, 128 - i.shape[1])) for i in images]
    features = [detector.encoder.prefix(canvas[None]) for canvas in canvases]
    maps = [tuple(one[stride][0] for stride in strides) for one in features]
    return [CachedImage(m, strides, tuple(i.shape[1:])) for m, i in zip(maps, images, strict=True)]


@DETECTORS
def test_detections_on_features_are_those_on_pixels(family, path):
    detector, (images, _) = family.pretraining_detector(CLASSES).eval(), batch()
    detector.config["score_threshold"] = 0.0
    with torch.no_grad():
        of_pixels, of_features = (detector(x, None, path) for x in (images, cached(detector, images)))
    assert [set(one) for one in of_features] == [set(one) for one in of_pixels]
    for features, pixels in zip(of_features, of_pixels, strict=True):
        assert all(torch.allclose(features[name], pixels[name], atol=1e-4) for name in pixels)


@DETECTORS
def test_losses_on_features_are_those_on_pixels(family, path):
    detector, (images, targets) = family.pretraining_detector(CLASSES).train(), batch()
    detector.encoder.backbone.eval()
    losses = []
    for given in (images, cached(detector, images)):
        torch.manual_seed(0)  # of the regions that are drawn
        losses.append({name: loss.item() for name, loss in detector(given, targets, path).items()})
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


@DETECTORS
def test_the_baseline_reads_features_too(family):
    detector, (images, _) = family.baseline_detector(CLASSES).eval(), batch()
    with torch.no_grad():
        assert len(detector(cached(detector, images))) == 2


@DETECTORS
def test_no_detector_changes_the_features_of_a_frozen_backbone(word, tmp_path):
    """A cache that was made under one detector is read under another."""
    weights = tmp_path / "weights.pth"
    torch.save(timm.create_model("mobilenetv3_small_050").state_dict(), weights)
    words = [*f"{SPACE} {SIZES}".split(), "backbone.train=frozen", f"backbone.weights={weights}", f"detector={word}"]
    backbone = Setup(compose(words)).family.baseline_detector(CLASSES).encoder.backbone
    alone = Backbone("mobilenetv3_small_050", (3, 4, 5), weights=str(weights)).eval()
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert all(torch.equal(a, b) for a, b in zip(backbone(image).values(), alone(image), strict=True))
