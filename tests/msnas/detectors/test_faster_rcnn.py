"""Faster and Mask R-CNN over every encoder: learning, detecting, images without boxes, what is refused."""

import pytest
import torch
from tiny_detectors import OTHER, PATH, TINY, empty_target, make_detector, make_encoder, scene
from torchvision.models.detection import FasterRCNN as TorchvisionFasterRCNN
from torchvision.ops import box_iou

from msnas.data.predicted_masks import pasted
from msnas.detectors.faster_rcnn import FasterRCNN
from msnas.errors import ConfigError, DataError

LOSSES = {"loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg"}
KINDS = ["path", "bottleneck", "base_stride_2", "fpn"]


def learn(detector, images, targets, steps, architecture=None):
    """The total loss before and after."""
    optimizer = torch.optim.SGD(detector.parameters(), lr=0.05, momentum=0.9)
    totals = []
    for step in range(steps):
        torch.manual_seed(step)
        loss = sum(detector(images, targets, architecture).values())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(detector.parameters(), 10.0)
        optimizer.step()
        totals.append(loss.item())
    return totals[0], totals[-1]


@pytest.mark.parametrize("kind", ["bottleneck", "base_stride_2", "fpn"])
def test_it_learns_one_batch(kind):
    detector, (images, targets) = make_detector(kind), scene()
    first, last = learn(detector, images, targets, steps=45)
    assert last < 0.4 * first


def test_it_finds_what_it_learned():
    detector, (images, targets) = make_detector(mask=True), scene(masks=True)
    learn(detector, images, targets, steps=90)
    with torch.no_grad():
        found = detector.eval()(images)
    for detections, target in zip(found, targets, strict=True):
        box, label, mask = (target[key][0] for key in ("boxes", "labels", "masks"))
        overlaps = box_iou(box[None], detections["boxes"])[0] * (detections["labels"] == label)
        best = overlaps.argmax()
        assert overlaps[best] > 0.6
        assert detections["scores"][best] > 0.4
        assert detections["masks"].shape == (len(overlaps), 1, *mask.shape)
        drawn = detections["masks"][best, 0] > 0.5
        assert (drawn & (mask > 0)).sum() > 0.7 * (drawn | (mask > 0)).sum()


def test_over_an_fpn_it_is_torchvisions_detector_but_for_the_rounding_of_anchors():
    ours, (images, _) = make_detector("fpn", base_scale=224, score_threshold=0.0).eval(), scene()
    theirs = TorchvisionFasterRCNN(
        _LevelsByName(ours.encoder),
        min_size=128,
        max_size=192,
        size_divisible=64,
        rpn_anchor_generator=ours.rpn.anchor_generator,
        rpn_head=ours.rpn.head,
        rpn_pre_nms_top_n_test=100,
        rpn_post_nms_top_n_test=40,
        box_head=ours.roi_heads.box_head,
        box_predictor=ours.roi_heads.box_predictor,
        box_score_thresh=0.0,
    ).eval()
    with torch.no_grad():
        for mine, other in zip(ours(images), theirs(images), strict=True):
            assert len(mine["boxes"]) > 0
            assert all(torch.equal(mine[key], other[key]) for key in ("boxes", "labels", "scores"))


class _LevelsByName(torch.nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.encoder, self.out_channels = encoder, encoder.out_channels

    def forward(self, images):
        return {str(level): feature for level, feature in enumerate(self.encoder(images))}


@pytest.mark.parametrize("box_head", ["2conv1fc", "4conv1fc"])
def test_losses_and_detections_have_torchvisions_names(box_head):
    detector, (images, targets) = make_detector(box_head=box_head), scene()
    losses = detector(images, targets)
    assert set(losses) == LOSSES
    assert all(loss.ndim == 0 and loss.isfinite() for loss in losses.values())
    [detections] = detector.eval()(images[:1])
    assert {name: value.dtype for name, value in detections.items()} == {
        "boxes": torch.float32,
        "labels": torch.int64,
        "scores": torch.float32,
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mask", [False, True])
def test_images_without_boxes_train_and_detect(kind, mask):
    detector, (images, targets) = make_detector(kind, mask=mask, score_threshold=0.99), scene(masks=True)
    for batch in ([empty_target(128, 128), targets[1]], [empty_target(128, 128), empty_target(128, 160)]):
        losses = detector.train()(images, batch)
        sum(losses.values()).backward()
        assert set(losses) == LOSSES | ({"loss_mask"} if mask else set())
        assert all(loss.isfinite() for loss in losses.values())
    found = detector.eval()(images)
    assert [len(detections["boxes"]) for detections in found] == [0, 0]
    assert all(p.grad is None or p.grad.isfinite().all() for p in detector.parameters())


def test_boxes_come_back_in_pixels_of_the_given_image():
    detector, (images, _) = make_detector(score_threshold=0.0), scene()
    detector.eval()
    large = torch.nn.functional.interpolate(images[1][None], scale_factor=3, mode="nearest")[0]
    with torch.no_grad():
        small_boxes, large_boxes = (detector([image])[0]["boxes"] for image in (images[1], large))
    assert small_boxes[:, 2].max() <= 160
    assert 300 < large_boxes[:, 2].max() <= 480
    assert large_boxes[:, 3].max() <= 384


def test_uint8_images_are_floats_times_255():
    detector = make_detector().eval()
    image = torch.randint(0, 256, (3, 128, 128), dtype=torch.uint8)
    with torch.no_grad():
        [bytes_], [floats] = detector([image]), detector([image.float() / 255])
    assert torch.equal(bytes_["boxes"], floats["boxes"])


@pytest.mark.parametrize("path", [PATH, OTHER], ids=str)
@pytest.mark.parametrize("mask", [False, True])
def test_extracted_detector_equals_the_supernet_bitwise(path, mask):
    supernet, (images, targets) = make_detector("supernet", mask=mask, score_threshold=0.0), scene(masks=True)
    learn(supernet, images, targets, 3, path)
    alone = supernet.eval().extract(path)
    with torch.no_grad():
        for ours, theirs in zip(alone(images), supernet(images, architecture=path), strict=True):
            assert len(ours["boxes"]) > 0
            assert ours.keys() == theirs.keys()
            assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_extraction_leaves_the_supernet_alone():
    supernet, (images, targets) = make_detector("supernet"), scene()
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    learn(supernet.extract(PATH), images, targets, 2)
    assert all(torch.equal(before[name], tensor) for name, tensor in supernet.state_dict().items())


def test_only_the_sampled_path_learns():
    supernet, (images, targets) = make_detector("supernet"), scene()
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    learn(supernet, images, targets, 2, PATH)
    changed = {name for name, tensor in supernet.state_dict().items() if not torch.equal(before[name], tensor)}
    reached = {name for name, p in supernet.named_parameters() if p.grad is not None}
    assert reached >= {n for n in changed if n in dict(supernet.named_parameters())}
    assert not any(".branches." in n and not _on_path(n) for n in changed)
    assert {n.split(".")[2] for n in reached if n.startswith("encoder.outputs")} == {"4", "8", "16", "32"}


def _on_path(name):
    _, _, block, _, branch, *_ = name.split(".")
    return {0.5: "up", 1: "keep", 2: "down"}[PATH.strides[int(block)]] == branch


@pytest.mark.usefixtures("without_onednn")
def test_bf16_autocast_keeps_anchors_and_boxes_in_float32():
    detector, (images, targets) = make_detector(mask=True, score_threshold=0.0), scene(masks=True)
    with torch.autocast("cpu", torch.bfloat16):
        losses = detector(images, targets)
        [detections, _] = detector.eval()(images)
    assert all(loss.isfinite() for loss in losses.values())
    assert detections["boxes"].dtype == detections["masks"].dtype == torch.float32
    coordinates = detections["boxes"].flatten()
    assert not torch.equal(coordinates, coordinates.bfloat16().float())


def test_sync_batch_norm_conversion_keeps_outputs():
    detector, (images, _) = make_detector(score_threshold=0.0).eval(), scene()
    with torch.no_grad():
        before = detector(images)
        after = torch.nn.SyncBatchNorm.convert_sync_batchnorm(detector).eval()(images)
    assert torch.equal(before[0]["boxes"], after[0]["boxes"])


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"boxes": torch.tensor([[5.0, 5, 5, 9]])}, "x1 < x2"),
        ({"boxes": torch.tensor([[5.0, 5, float("nan"), 9]])}, "finite"),
        ({"labels": torch.tensor([4])}, "1..3"),
        ({"labels": torch.tensor([0])}, "1..3"),
        ({"labels": torch.tensor([1, 2])}, "2 labels"),
    ],
)
def test_targets_that_would_corrupt_training_are_refused(fault, words):
    detector, (images, targets) = make_detector(), scene()
    with pytest.raises(DataError, match=words):
        detector(images, [{**targets[0], **fault}, targets[1]])


def test_training_without_targets_is_refused():
    with pytest.raises(DataError, match="one target an image"):
        make_detector()(scene()[0])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"box_head": "3conv"}, "2conv1fc, 4conv1fc"),
        ({"num_classes": 0}, "num_classes must be positive"),
        ({"short_side": 300}, "short_side <= long_side"),
        ({"rois_per_image": -1}, "rois_per_image must be positive"),
    ],
)
def test_options_out_of_range_are_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        make_detector(**options)


def test_images_are_normalised_as_the_encoder_wants_them():
    encoder = make_encoder("fpn")
    encoder.image_mean, encoder.image_std = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
    detector = FasterRCNN(encoder, **TINY)
    assert detector.transform.image_mean == detector.config["image_mean"] == [0.5, 0.5, 0.5]
    assert detector.transform.std.flatten().tolist() == [0.25, 0.25, 0.25]


def test_an_encoder_that_says_nothing_gets_the_normalisation_of_imagenet():
    assert make_detector("fpn").config["image_mean"] == [0.485, 0.456, 0.406]


@torch.no_grad()
def test_masks_that_are_not_pasted_are_those_that_would_be():
    detector, (images, _) = make_detector(mask=True, score_threshold=0.0).eval(), scene()
    for whole, small, image in zip(detector(images), detector(images, paste=False), images, strict=True):
        assert len(small["boxes"]) > 0
        assert torch.equal(pasted(small["box_masks"], small["boxes"], image.shape[-2:]), whole["masks"])
