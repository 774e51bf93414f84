"""FCOS: which location predicts what, its losses, and a detector that learns one batch."""

import pytest
import torch
from seen_int64 import SeenInt64

from msnas.detectors.fcos import FCOS
from msnas.detectors.fcos_targets import Targets, assign, centerness_of, giou_loss, iou_loss, locations, losses
from msnas.detectors.targets import one_hot_classes
from msnas.errors import ConfigError
from msnas.export import model_file
from supernet.nas_fcos.decoder import PUBLISHED, Pyramid
from supernet.nas_fcos.fcos_encoder import FcosEncoder
from supernet.nas_fcos.head_module import HeadModule
from supernet.nas_fcos.pyramid_module import PyramidModule
from supernet.strides.architecture import Architecture
from supernet.strides.stride_encoder import MixedEncoder

STRIDES = (8, 16, 32, 64, 128)


def grid(image=800, range_scale=1.0):
    return locations([(-(-image // s), -(-image // s)) for s in STRIDES], STRIDES, range_scale=range_scale)


def target(*boxes, labels=None):
    labels = labels or [1] * len(boxes)
    return {"boxes": torch.tensor(boxes).float().reshape(-1, 4), "labels": torch.tensor(labels)}


def levels_used(targets, where):
    """Which levels have a positive location."""
    parts = torch.split(targets.labels[0], list(where.counts))
    return [level for level, labels in enumerate(parts) if bool((labels > 0).any())]


@pytest.mark.parametrize(("side", "level"), [(100, 0), (250, 2), (900, 4)])
def test_a_box_is_predicted_on_the_level_of_its_size(side, level):
    where = grid(1024)
    assert level in levels_used(assign([target([8, 8, 8 + side, 8 + side])], where), where)


def test_a_location_in_two_boxes_predicts_the_smaller():
    where = grid(64)
    found = assign([target([0, 0, 60, 60], [10, 10, 40, 40], labels=[1, 2])], where)
    at = (where.points[: where.counts[0]] == torch.tensor([20.0, 20.0])).all(1).nonzero().item()
    assert found.labels[0, at] == 2
    assert found.distances[0, at].tolist() == [10, 10, 20, 20]


def test_locations_outside_of_all_boxes_are_background():
    where = grid(64)
    found = assign([target([0, 0, 30, 30])], where)
    outside = (where.points > 30).any(1)
    assert not found.labels[0][outside].any()


def test_an_image_without_boxes_is_background():
    assert not assign([target()], grid(64)).labels.any()


def test_crowds_are_left_out():
    crowd = {**target([0, 0, 60, 60]), "iscrowd": torch.tensor([1])}
    assert not assign([crowd], grid(64)).labels.any()


def test_center_sampling_leaves_the_locations_near_the_centre():
    where = grid(64)
    far = assign([target([0, 0, 60, 60])], where)
    near = assign([target([0, 0, 60, 60])], where, center_sampling=1.5)
    assert 0 < (near.labels > 0).sum() < (far.labels > 0).sum()


def test_centerness_is_one_in_the_middle_and_falls_to_the_border():
    values = centerness_of(torch.tensor([[5.0, 5, 5, 5], [1.0, 5, 9, 5], [0.0, 5, 10, 5]]))
    assert values.tolist() == pytest.approx([1, 1 / 3, 0])


def test_the_iou_loss_of_the_target_itself_is_zero():
    distances = torch.tensor([[3.0, 4, 5, 6]])
    assert iou_loss(distances, distances).item() == 0


def test_the_losses_of_a_batch_without_boxes_are_finite_and_only_the_class_has_a_gradient():
    where = grid(64)
    n = len(where.points)
    logits, distances = torch.zeros(1, n, 3, requires_grad=True), torch.ones(1, n, 4, requires_grad=True)
    parts = losses(logits, distances, torch.zeros(1, n), Targets(torch.zeros(1, n).long(), torch.zeros(1, n, 4)), where)
    sum(parts.values()).backward()
    assert all(part.isfinite() for part in parts.values())
    assert logits.grad.abs().sum() > 0
    assert not distances.grad.any()


@pytest.fixture
def tiny():
    torch.manual_seed(0)
    return FCOS(FcosEncoder(backbone="resnet18", channels=16, width=0.25), num_classes=2, short_side=64, long_side=64)


def batch():
    images = [torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(i)) for i in range(2)]
    images[0][:, 10:40, 10:40] = 1
    images[1][:, 20:60, 4:30] = 0
    return images, [target([10, 10, 40, 40]), target([4, 20, 30, 60], labels=[2])]


@pytest.mark.parametrize(("pyramid", "head"), [("fcos", "fcos"), (str(PUBLISHED.pyramid), str(PUBLISHED.head))])
def test_a_detector_learns_one_batch(pyramid, head):
    torch.manual_seed(0)
    encoder = FcosEncoder(pyramid, backbone="resnet18", channels=16, width=0.25)
    detector = FCOS(encoder, num_classes=2, short_side=64, long_side=64, head=head)
    images, targets = batch()
    optimizer = torch.optim.Adam(detector.parameters(), lr=4e-3)
    history = []
    for _ in range(40):
        loss = sum(detector(images, targets).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    assert history[-1] < 0.6 * history[0]


def test_a_saved_detector_loads_with_equal_outputs(tmp_path):
    torch.manual_seed(0)
    encoder = FcosEncoder(str(PUBLISHED.pyramid), backbone="resnet18", channels=8, out_channels=16, width=0.25)
    head = str(PUBLISHED.head)
    detector = FCOS(encoder, num_classes=2, short_side=64, long_side=64, head=head, score_threshold=0.001).eval()
    model_file.save(tmp_path, detector, {"classes": ["a", "b"], "category_ids": [1, 2]})
    again = model_file.load(tmp_path)
    [before], [after] = detector(batch()[0][:1]), again(batch()[0][:1])
    assert len(before["boxes"]) > 0
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_detections_are_those_that_the_head_predicts(tiny):
    tiny.eval()
    where = grid(64, range_scale=64 / 800)
    n = len(where.points)
    at = 3 * 8 + 3  # the location at (28, 28) of the finest level
    logits, distances = torch.full((1, n, 2), -9.0), torch.ones(1, n, 4)
    logits[0, at, 1] = 9
    found = tiny.detect(logits, distances, torch.full((1, n), 9.0), where, [(64, 64)])[0]
    assert found["boxes"].tolist() == [[20, 20, 36, 36]]
    assert found["labels"].tolist() == [2]


def test_detections_are_in_pixels_of_the_images_that_came(tiny):
    tiny.eval()
    torch.nn.init.constant_(tiny.head.logits.bias, 3.0)
    found = tiny([torch.rand(3, 128, 256)])[0]
    assert len(found["boxes"]) > 0
    assert found["boxes"][:, 2].max() <= 256
    assert found["boxes"][:, 2].max() > 64


def test_fcos_runs_over_a_searched_encoder():
    encoder = MixedEncoder(block="basic", depth=5, channels=16, base_stride=2)
    detector = FCOS(encoder, num_classes=2, short_side=64, long_side=64)
    images, targets = batch()
    parts = detector(images, targets, Architecture.parse("1,2,2,2,2|2,4,8,16,32"))
    assert all(part.isfinite() for part in parts.values())


def test_an_adapter_of_c2_that_nothing_reads_is_not_built_and_changes_nothing():
    torch.manual_seed(0)
    encoder = FcosEncoder(PUBLISHED.pyramid, backbone="resnet18", channels=16, width=0.25).eval()
    neck, features = encoder.neck, encoder.backbone(torch.rand(1, 3, 64, 64))
    assert (neck.num_inputs, len(neck.adapters)) == (3, 3)
    four = PyramidModule(PUBLISHED.pyramid, channels=16, in_channels=encoder.backbone.channels, unread=True).eval()
    for name in ("blocks", "p6", "p7"):
        getattr(four, name).load_state_dict(getattr(neck, name).state_dict())
    four.adapters = torch.nn.ModuleList([four.adapters[0], *neck.adapters])
    for a, b in zip(four(features), neck(features), strict=True):
        assert torch.equal(a, b)


@pytest.fixture
def half_read():
    """A pyramid that reads C2 and C5 only, and the weights that it had when every adapter was built."""
    pyramid, shape = Pyramid.parse("0,3,3,3,0:0,3,0,3,1:3,3,3,3,0"), {"channels": 8, "in_channels": (4, 6, 8, 10)}
    torch.manual_seed(0)
    every = PyramidModule(pyramid, **shape, unread=True).eval()
    return PyramidModule(pyramid, **shape).eval(), every


def test_an_adapter_that_no_block_reads_has_no_weights(half_read):
    neck, _ = half_read
    assert [sum(p.numel() for p in adapter.parameters()) > 0 for adapter in neck.adapters] == [True, False, False, True]


def test_weights_of_a_pyramid_with_unread_adapters_still_load_and_give_the_same(half_read):
    neck, every = half_read
    neck.load_state_dict(every.state_dict())
    features = [torch.rand(1, c, 32 // s, 32 // s) for c, s in zip((4, 6, 8, 10), (1, 2, 4, 8), strict=True)]
    assert all(torch.equal(a, b) for a, b in zip(neck(features), every(features), strict=True))


def test_giou_is_minus_1_far_apart_and_the_iou_loss_is_unchanged():
    distances, far = torch.tensor([[3.0, 4, 5, 6]]), torch.tensor([[-1e6, -1e6, 1e6 + 1, 1e6 + 1]])
    assert giou_loss(distances, distances).item() == pytest.approx(0, abs=1e-6)
    assert giou_loss(far, distances).item() == pytest.approx(2, abs=1e-4)


def test_with_giou_the_distances_learn_and_only_the_box_loss_is_another():
    where, n = grid(64), len(grid(64).points)
    targets = assign([target([0, 0, 60, 60])], where)
    predictions = torch.zeros(1, n, 3), torch.ones(1, n, 4, requires_grad=True), torch.zeros(1, n)
    iou, giou = (losses(*predictions, targets, where, box_loss=kind) for kind in ("iou", "giou"))
    assert [name for name in iou if iou[name] != giou[name]] == ["loss_box_reg"]
    assert torch.autograd.grad(giou["loss_box_reg"], predictions[1])[0].abs().sum() > 0


@pytest.mark.parametrize(("branch", "learns"), [("classes", "class_branch"), ("boxes", "box_branch")])
def test_the_centerness_sits_on_the_branch_it_is_told(branch, learns):
    head = HeadModule(None, channels=16, num_classes=2, centerness_on=branch)
    head([torch.rand(1, 16, 4, 4)] * 5)[2].sum().backward()
    names = ("class_branch", "box_branch")
    assert [n for n in names if next(getattr(head, n).parameters()).grad is not None] == [learns]


@pytest.mark.parametrize("option", [{"box_loss": "l1"}, {"centerness_on": "none"}])
def test_an_option_that_is_none_of_the_choices_is_one_clear_error(option):
    with pytest.raises(ConfigError, match=f"{next(iter(option))} must be one of"):
        FCOS(FcosEncoder(backbone="resnet10", channels=8, width=0.125), num_classes=2, **option)


def test_zeros_and_ones_of_the_classes_are_torchs_one_hot():
    labels = torch.tensor([[0, 2, -1, 3]])
    expected = torch.nn.functional.one_hot(labels.clamp(min=0), 4)[..., 1:].float()
    assert torch.equal(one_hot_classes(labels, torch.zeros(1, 4, 3)), expected)


def test_no_int64_of_all_locations_and_classes_is_made():
    where = grid(64)
    n = len(where.points)
    targets = assign([target([0, 0, 60, 60])], where)
    with SeenInt64() as seen:
        losses(torch.zeros(1, n, 7), torch.ones(1, n, 4), torch.zeros(1, n), targets, where)
    assert max(seen.sizes) < 7 * n


def test_a_detector_of_frozen_norms_keeps_their_statistics():
    encoder = FcosEncoder(backbone="resnet18", channels=16, width=0.25, frozen=True)
    detector = FCOS(encoder, num_classes=2, short_side=64, long_side=64).train()
    before = encoder.backbone.norms()[0].running_mean.clone()
    detector(*batch())
    assert torch.equal(encoder.backbone.norms()[0].running_mean, before)


@pytest.mark.parametrize(("given", "scale"), [(None, 0.125), (0.5, 0.5)])
def test_the_sizes_of_levels_scale_with_the_short_side_unless_given(given, scale):
    encoder = FcosEncoder(backbone="resnet18", channels=16, width=0.25)
    detector = FCOS(encoder, num_classes=2, short_side=100, long_side=100, range_scale=given)
    features = [torch.empty(1, 16, -(-128 // stride), -(-128 // stride)) for stride in STRIDES]
    assert detector.locations(features, (128, 128)).ranges[0, 1] == 64 * scale


NONSENSE = [{"num_classes": 0}, {"short_side": 100, "long_side": 50}, {"center_sampling": -1}, {"range_scale": 0}]


@pytest.mark.parametrize("options", NONSENSE)
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(ConfigError):
        FCOS(FcosEncoder(backbone="resnet18", channels=16, width=0.25), **{"num_classes": 2, **options})


def test_images_are_normalised_as_the_backbone_wants_them():
    encoder = FcosEncoder(backbone="tf_efficientnet_lite0", channels=8)
    detector = FCOS(encoder, num_classes=2, short_side=64, long_side=64)
    assert detector.transform.image_mean == detector.config["image_mean"] == [0.5, 0.5, 0.5]


def test_moving_the_strides_of_weights_that_were_trained_without_is_warned_about(tmp_path):
    shape = {"backbone": "resnet26", "channels": 8, "width": 0.125}
    body = FcosEncoder(**shape, caffe=False).backbone.body
    torch.save(body.state_dict(), tmp_path / "v15.pth")
    with pytest.warns(UserWarning, match="v15.pth give caffe=false"):
        FcosEncoder(**shape, weights=str(tmp_path / "v15.pth"))
    FcosEncoder(**shape, caffe=False, weights=str(tmp_path / "v15.pth"))  # no warning
