"""RetinaNet learns, detects, exits early, and costs what its closed form says."""

import numpy as np
import pytest
import torch
from seen_int64 import SeenInt64
from torchvision.models.detection._utils import BoxCoder, Matcher
from torchvision.models.detection.image_list import ImageList
from without_init import WithoutInit

from msnas.detectors.retina_head import RetinaHead
from msnas.detectors.retina_targets import IGNORED, LossWeights, assign, losses
from msnas.detectors.retinanet import RetinaNet
from msnas.errors import ConfigError, DataError
from msnas.export import model_file
from supernet.mac_counter import count_macs, count_params
from supernet.nas_fpn.cell_space import CellSpace
from supernet.nas_fpn.plan_cost import fpn_level_cost, nas_fpn_cost
from supernet.nas_fpn.plan_encoder import FpnLevelEncoder, NasFpnEncoder
from supernet.nas_fpn.pyramid_plan import DISCOVERED

SMALL = {"backbone": "resnet10", "channels": 16, "width": 0.125}


def detector(anytime=False, encoder=None, **options):
    torch.manual_seed(0)
    encoder = encoder or NasFpnEncoder(DISCOVERED, stacks=2, **SMALL)
    settings = {"num_classes": 3, "short_side": 128, "long_side": 128, "batch_norm_momentum": 0.1}
    return RetinaNet(encoder, anytime=anytime, **settings, **options)


def scene():
    """Two images of one bright square each, and what they show."""
    images = [torch.full((3, 128, 128), 0.2) for _ in range(2)]
    boxes = [torch.tensor([[20.0, 24.0, 60.0, 60.0]]), torch.tensor([[50.0, 40.0, 110.0, 104.0]])]
    for image, box, channel in zip(images, boxes, (0, 1), strict=True):
        left, top, right, bottom = box[0].int().tolist()
        image[channel, top:bottom, left:right] = 1.0
    return images, [
        {"boxes": boxes[0], "labels": torch.tensor([1])},
        {"boxes": boxes[1], "labels": torch.tensor([3])},
    ]


def test_it_learns_one_batch_by_heart():
    model, (images, targets) = detector(), scene()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    for _ in range(120):
        loss = sum(model(images, targets).values())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
    found = model.eval()(images)
    for detections, target in zip(found, targets, strict=True):
        # Not the first: norms of 1x1 maps have two values to know their statistics from, and may make a false one sure.
        close = (detections["boxes"][:10] - target["boxes"]).abs().amax(dim=1) < 6
        assert target["labels"][0] in detections["labels"][:10][close]


@pytest.mark.parametrize("anytime", [False, True])
def test_every_parameter_gets_a_gradient(anytime):
    model, (images, targets) = detector(anytime), scene()
    sum(model(images, targets).values()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_exits_lose_the_sum_where_it_is_asked_for():
    parts = {kind: detector(anytime=True, exit_losses=kind)(*scene()) for kind in ("mean", "sum")}
    for name, mean in parts["mean"].items():
        assert torch.isclose(parts["sum"][name], 2 * mean)  # two stacks


def test_images_without_objects_can_be_trained_on():
    images, targets = scene()
    targets[0] = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    assert all(part.isfinite() for part in detector()(images, targets).values())


def test_a_box_that_is_none_is_refused():
    images, targets = scene()
    targets[1]["boxes"][0, 2] = 0
    with pytest.raises(DataError, match="Target 1"):
        detector()(images, targets)


def test_detections_are_in_the_coordinates_of_the_given_image():
    model = detector(score_threshold=0.0).eval()
    with torch.no_grad():
        [found] = model([torch.rand(3, 60, 240)])
    assert len(found["boxes"]) == 100
    assert found["boxes"].min() >= 0
    assert found["boxes"][:, 2].max() <= 240
    assert found["boxes"][:, 3].max() <= 60
    assert set(found["labels"].tolist()) <= {1, 2, 3}


def test_norms_belong_to_levels_and_convolutions_to_all():
    head = RetinaHead(8, num_levels=5, num_classes=3)
    tower = head.class_tower
    assert (len(tower.convs), [len(norms) for norms in tower.norms]) == (4, [4] * 5)


def test_predictions_are_in_the_order_of_the_anchors():
    model = detector().eval()
    with torch.no_grad():
        predictions = model.predict(torch.zeros(1, 3, 128, 256))[2]
    anchors = model._anchors(torch.zeros(1, 3, 128, 256), predictions.sizes)
    assert [len(a) for a in anchors] == [x.shape[1] for x in predictions.logits]
    centers = (anchors[0][:, :2] + anchors[0][:, 2:]) / 2
    assert torch.equal(centers[9 * 32 + 9 * 5], torch.tensor([40.0, 8.0]))  # row 1, column 5 at stride 8


def test_an_exit_gives_what_the_shorter_network_gives():
    model = detector(anytime=True, score_threshold=0.0).eval()
    short = detector(encoder=NasFpnEncoder(DISCOVERED, stacks=1, **SMALL), score_threshold=0.0).eval()
    short.load_state_dict(model.state_dict(), strict=False)
    image = [torch.rand(3, 128, 128)]
    with torch.no_grad():
        early, expected = model(image, exit_after=1)[0], short(image)[0]
    assert torch.equal(early["boxes"], expected["boxes"])


def test_all_exits_come_from_one_pass():
    model = detector(anytime=True, score_threshold=0.0).eval()
    images = scene()[0]
    ran = []
    model.encoder.backbone.register_forward_hook(lambda *_: ran.append(1))
    found = model.detect_at_exits(images)
    assert ran == [1]
    with torch.no_grad():
        for stacks in (1, 2):
            assert torch.equal(found[stacks][0]["boxes"], model(images, exit_after=stacks)[0]["boxes"])


def test_an_exit_without_a_head_is_an_error():
    with pytest.raises(ConfigError, match="exit_after"):
        detector().eval()(scene()[0], exit_after=1)


def test_a_saved_model_detects_the_same(tmp_path):
    model = detector(anytime=True, score_threshold=0.0).eval()
    model_file.save(tmp_path, model, {"classes": ["a", "b", "c"], "category_ids": [1, 2, 3]})
    images = scene()[0]
    with torch.no_grad():
        assert torch.equal(model_file.load(tmp_path)(images)[0]["boxes"], model(images)[0]["boxes"])


def counted(encoder, size, **options):
    model = RetinaNet(encoder, num_classes=7, **options).eval()
    return count_macs(_Heads(model), torch.empty(1, 3, *size)), count_params(model)


class _Heads(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images):
        return [x for exit in self.model.predict(images).values() for x in exit.logits]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("lite", [False, True])
def test_the_closed_form_equals_a_count_on_the_built_detector(seed, lite):
    space = CellSpace(num_cells=6 + seed, top_level=4 + seed, channels=24, stacks=1 + seed, lite=lite, num_classes=7)
    genome = space.sample(np.random.default_rng(seed))
    with torch.device("meta"), WithoutInit():
        encoder = NasFpnEncoder(space.decode(genome), backbone="resnet10", channels=24, stacks=1 + seed, lite=lite)
        macs, params = counted(encoder, (512, 512), lite=lite)
    assert (macs, params) == (space.cost(genome).macs, space.cost(genome).params)


@pytest.mark.parametrize(("top_level", "stacks"), [(7, 1), (6, 2)])
def test_the_closed_form_knows_convolutions_before_the_poolings(top_level, stacks):
    space = CellSpace(num_cells=7, top_level=top_level, channels=24, stacks=stacks, num_classes=7)
    plan = space.decode(space.sample(np.random.default_rng(0)))
    shape = {"backbone": "resnet18", "channels": 24, "stacks": stacks, "extra_convs": True}
    with torch.device("meta"):
        macs, params = counted(NasFpnEncoder(plan, **shape), (256, 384))
    cost = nas_fpn_cost(plan, **shape, input_size=(256, 384), num_classes=7)
    assert (macs, params) == (cost.macs, cost.params)


def test_anchors_that_are_not_rounded_have_their_exact_areas_and_ratios():
    rounded, exact = detector(), detector(round_anchors=False)
    grid = [torch.empty(1, 1, 1, 1)] * 5
    images = ImageList(torch.empty(1, 3, 128, 128), [(128, 128)])
    both = [one.anchor_generator(images, grid)[0] for one in (rounded, exact)]
    assert torch.equal(both[0], both[1].round())
    width, height = (both[1][:, 2:] - both[1][:, :2]).unbind(1)
    torch.testing.assert_close((height / width)[:9], torch.tensor([0.5] * 3 + [1.0] * 3 + [2.0] * 3))
    torch.testing.assert_close((width * height)[:3].sqrt(), 32 * 2 ** (torch.arange(3) / 3))


@pytest.mark.parametrize("exits", [1, 3])
def test_the_closed_form_knows_exits(exits):
    with torch.device("meta"), WithoutInit():
        encoder = NasFpnEncoder(DISCOVERED, backbone="resnet18", channels=24, stacks=3)
        macs, params = counted(encoder, (256, 384), anytime=exits > 1)
    cost = nas_fpn_cost(
        DISCOVERED,
        channels=24,
        input_size=(256, 384),
        stacks=3,
        backbone="resnet18",
        num_classes=7,
        exits=exits,
    )
    assert (macs, params) == (cost.macs, cost.params)


@pytest.mark.parametrize(("lite", "stacks", "top_level"), [(False, 1, 7), (True, 3, 7), (False, 2, 5), (True, 2, 4)])
def test_the_closed_form_of_the_fpn_equals_a_count(lite, stacks, top_level):
    shape = {"backbone": "mobilenetv2_100", "channels": 24, "lite": lite, "stacks": stacks}
    with torch.device("meta"), WithoutInit():
        macs, params = counted(FpnLevelEncoder(**shape, top_level=top_level), (256, 384), lite=lite)
    cost = fpn_level_cost(range(3, top_level + 1), **shape, input_size=(256, 384), num_classes=7)
    assert (macs, params) == (cost.macs, cost.params)


ANCHORS = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 20.0], [50.0, 50.0, 60.0, 60.0]])


def aims_of(boxes, labels, unmatch=0.5, **extra):
    target = {"boxes": torch.tensor(boxes).view(-1, 4), "labels": torch.tensor(labels), **extra}
    return assign([target], ANCHORS, Matcher(0.5, unmatch, allow_low_quality_matches=True), BoxCoder((1.0,) * 4))


def test_an_anchor_takes_the_box_it_overlaps_most():
    aims = aims_of([[0.0, 0.0, 10.0, 11.0], [0.0, 0.0, 10.0, 19.0]], [1, 2])
    assert aims.labels.tolist() == [[1, 2, 0]]


def test_a_box_below_the_threshold_still_gets_its_best_anchor():
    assert aims_of([[50.0, 50.0, 54.0, 60.0]], [2]).labels.tolist() == [[0, 0, 2]]


def test_overlaps_between_the_thresholds_do_not_count():
    assert aims_of([[0.0, 0.0, 10.0, 10.5]], [1], unmatch=0.4).labels.tolist() == [[1, 1, 0]]
    assert aims_of([[0.0, 0.0, 10.0, 9.5]], [1], unmatch=0.4).labels.tolist() == [[1, IGNORED, 0]]


def test_crowds_are_no_objects():
    aims = aims_of([[0.0, 0.0, 10.0, 10.0]], [1], iscrowd=torch.tensor([1]))
    assert aims.labels.tolist() == [[0, 0, 0]]


def test_the_losses_are_those_of_the_release():
    aims = aims_of([[0.0, 0.0, 10.0, 10.0]], [1], unmatch=0.0)
    aims = type(aims)(torch.tensor([[1, 0, 0]]), torch.zeros(1, 3, 4))
    parts = losses(torch.zeros(1, 3, 1), torch.full((1, 3, 4), 0.3), aims, LossWeights())
    half = 0.5**1.5 * torch.log(torch.tensor(2.0))  # (1 - p)^gamma * -log(p) at p = 0.5
    assert torch.isclose(parts["loss_classifier"], half * (0.25 + 2 * 0.75) / 2)  # over 1 positive + 1
    assert torch.isclose(parts["loss_box_reg"], torch.tensor(50 * (0.1 * 0.3 - 0.5 * 0.1**2) / 2))


def test_images_are_normalised_as_the_backbone_wants_them():
    encoder = FpnLevelEncoder(backbone="tf_efficientnet_lite0", channels=8)
    detector = RetinaNet(encoder, num_classes=2, short_side=64, long_side=64)
    assert detector.transform.image_std == detector.config["image_std"] == [0.5, 0.5, 0.5]


def test_no_int64_of_all_anchors_and_classes_is_made():
    """torch's one-hot of them took 3.2 GB for 64 images of 640 pixels and 80 classes."""
    anchors, classes = torch.tensor([[0.0, 0.0, 32.0, 32.0]]).repeat(50, 1), 80
    target = {"boxes": torch.tensor([[0.0, 0.0, 30.0, 30.0]]), "labels": torch.tensor([3])}
    aims = assign([target], anchors, Matcher(0.5, 0.5), BoxCoder((1.0, 1.0, 1.0, 1.0)))
    with SeenInt64() as seen:
        losses(torch.zeros(1, 50, classes), torch.zeros(1, 50, 4), aims, LossWeights())
    assert max(seen.sizes) < 50 * classes
