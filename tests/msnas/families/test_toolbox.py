"""Checkpoints of mmdetection: every tensor lands where it must, and the network computes what the toolbox computes.

What it computes is written down here a second time, from its sources, on the state dict itself.
"""

import pytest
import torch
import torchvision
from toolbox_tables import nas_fcos_shapes, nas_fpn_shapes, state_of
from torch.nn.functional import batch_norm, conv2d, group_norm, interpolate, max_pool2d, relu
from torchvision.ops import deform_conv2d

from msnas.errors import ModelError
from msnas.families.nas_fcos.toolbox_nas_fcos import nas_fcos_of_toolbox
from msnas.families.nas_fpn.toolbox_nas_fpn import nas_fpn_of_toolbox

SIDE = 128


def module(state, name, x, *, stride=1, order="cna", eps=1e-5):
    """A ConvModule: convolution (c), norm (n), ReLU (a), in this order; deformable where it has offsets."""
    for step in order:
        if step == "a":
            x = relu(x)
        elif step == "c":
            x = convolved(state, f"{name}.conv", x, stride)
        elif f"{name}.bn.weight" in state:
            statistics = (state[f"{name}.bn.running_mean"], state[f"{name}.bn.running_var"])
            x = batch_norm(x, *statistics, state[f"{name}.bn.weight"], state[f"{name}.bn.bias"], eps=eps)
        else:
            x = group_norm(x, 32, state[f"{name}.gn.weight"], state[f"{name}.gn.bias"])
    return x


def convolved(state, name, x, stride=1):
    weight, bias = state[f"{name}.weight"], state.get(f"{name}.bias")
    padding, groups = weight.shape[-1] // 2, x.shape[1] // weight.shape[1]
    if f"{name}.conv_offset.weight" not in state:
        return conv2d(x, weight, bias, stride, padding, groups=groups)
    first, second, mask = convolved(state, f"{name}.conv_offset", x).chunk(3, dim=1)
    return deform_conv2d(x, torch.cat((first, second), 1), weight, bias, padding=1, mask=mask.sigmoid())


def backbone(state, images, eps=1e-5):
    """C3, C4, C5, by torchvision's ResNet-18."""
    network = torchvision.models.resnet18(norm_layer=lambda channels: torch.nn.BatchNorm2d(channels, eps=eps)).eval()
    own = {name.removeprefix("backbone."): x for name, x in state.items() if name.startswith("backbone.")}
    network.load_state_dict({**network.state_dict(), **own})
    x = network.layer1(network.maxpool(relu(network.bn1(network.conv1(images)))))
    c3 = network.layer2(x)
    c4 = network.layer3(c3)
    return [c3, c4, network.layer4(c4)]


def cell(state, name, kind, a, b, size):
    """mmcv's cells as NAS-FPN uses them."""
    a, b = (
        interpolate(x, size=size) if x.shape[-1] < size[1] else max_pool2d(x, x.shape[-1] // size[1]) for x in (a, b)
    )
    merged = a + b if kind == "sum" else b + b.mean((2, 3), keepdim=True).sigmoid() * a
    return module(state, f"{name}.out_conv", merged, order="acn") if name else merged


def nas_fpn_neck(state, features, stacks):
    p3, p4, p5 = (module(state, f"neck.lateral_convs.{i}", x, order="cn") for i, x in enumerate(features))
    p6 = max_pool2d(module(state, "neck.extra_downsamples.0.0", p5, order="cn"), 2)
    p7 = max_pool2d(module(state, "neck.extra_downsamples.1.0", p6, order="cn"), 2)
    s3, s4, s5, s6, s7 = (x.shape[-2:] for x in (p3, p4, p5, p6, p7))
    for stack in range(stacks):
        place = f"neck.fpn_stages.{stack}."
        first = cell(state, place + "gp_64_4", "gp", p6, p4, s4)
        second = cell(state, place + "sum_44_4", "sum", first, p4, s4)
        p3 = cell(state, place + "sum_43_3", "sum", second, p3, s3)
        p4 = cell(state, place + "sum_34_4", "sum", p3, second, s4)
        p5 = cell(state, place + "sum_55_5", "sum", p5, cell(state, "", "gp", p4, p3, s5), s5)
        p7 = cell(state, place + "sum_77_7", "sum", p7, cell(state, "", "gp", p5, second, s7), s7)
        p6 = cell(state, place + "gp_75_6", "gp", p7, p5, s6)
    return [p3, p4, p5, p6, p7]


def retina_head(state, features):
    logits, deltas = [], []
    for level, x in enumerate(features):
        classes, boxes = x, x
        for depth in range(4):
            classes = module(state, f"bbox_head.cls_convs.{level}.{depth}", classes)
            boxes = module(state, f"bbox_head.reg_convs.{level}.{depth}", boxes)
        logits.append(convolved(state, "bbox_head.retina_cls", classes).permute(0, 2, 3, 1).reshape(1, -1, 80))
        deltas.append(convolved(state, "bbox_head.retina_reg", boxes).permute(0, 2, 3, 1).reshape(1, -1, 4))
    return torch.cat(logits, 1), torch.cat(deltas, 1)


def nas_fcos_neck(state, features):
    pool = [module(state, f"neck.adapt_convs.{i}", x) for i, x in enumerate(features)]
    for name in ("c22_1", "c22_2", "c32", "c02", "c42", "c36", "c61"):
        place, inputs = f"neck.fpn.{name}", [pool[int(name[1])], pool[int(name[2])]]
        for number in (1, 2):
            if f"{place}.input{number}_conv.bn.weight" in state:
                inputs[number - 1] = module(state, f"{place}.input{number}_conv", inputs[number - 1])
        size = max(x.shape[-2:] for x in inputs)
        both = torch.cat([interpolate(x, size=size) if x.shape[-2:] != size else x for x in inputs], dim=1)
        pool.append(module(state, f"{place}.out_conv", both, order="nac"))
    outputs = []
    for block, feature in zip((9, 8, 7), features, strict=True):
        small = interpolate(pool[5], size=pool[block].shape[-2:], mode="bilinear")
        outputs.append(interpolate(pool[block] + small, size=feature.shape[-2:], mode="bilinear"))
    p6 = convolved(state, "neck.extra_downsamples.0.conv", outputs[-1], stride=2)
    return [*outputs, p6, convolved(state, "neck.extra_downsamples.1.conv", relu(p6), stride=2)]


def fcos_head(state, features):
    """Class logits, distances in pixels, centerness logits of all levels."""
    found = []
    for level, x in enumerate(features):
        classes, boxes = x, x
        for depth in range(4):
            classes = module(state, f"bbox_head.cls_convs.{depth}", classes)
            boxes = module(state, f"bbox_head.reg_convs.{depth}", boxes)
        reach = (state[f"bbox_head.scales.{level}.scale"] * convolved(state, "bbox_head.conv_reg", boxes)).exp()
        parts = convolved(state, "bbox_head.conv_cls", classes), reach
        parts = *parts, convolved(state, "bbox_head.conv_centerness", classes)
        found.append([part.flatten(2).transpose(1, 2) for part in parts])
    return [torch.cat(part, 1) for part in zip(*found, strict=True)]


@pytest.fixture(scope="module")
def images():
    return torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def nas_fpn_state():
    return state_of(nas_fpn_shapes())


@torch.no_grad()
def test_nas_fpn_predicts_what_the_toolbox_predicts(images, nas_fpn_state):
    detector = nas_fpn_of_toolbox(nas_fpn_state)
    ours = detector.predict(detector.transform.normalize(images))[2]
    mean, std = (torch.tensor(x).view(3, 1, 1) for x in ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)))
    features = nas_fpn_neck(nas_fpn_state, backbone(nas_fpn_state, (images * 255 - mean) / std), stacks=2)
    logits, deltas = retina_head(nas_fpn_state, features)
    torch.testing.assert_close(torch.cat(ours.logits, 1), logits, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(torch.cat(ours.deltas, 1), deltas, rtol=1e-3, atol=1e-4)
    assert logits.std() > 0.1


@pytest.mark.parametrize("head", ["nas", "fcos"])
@torch.no_grad()
def test_nas_fcos_predicts_what_the_toolbox_predicts(head, images):
    state = state_of(nas_fcos_shapes(head=head))
    detector = nas_fcos_of_toolbox(state)
    canvas = detector.transform.normalize(images)
    features = detector.features(canvas, None)
    logits, distances, centerness = detector.head(features)
    reach = distances * detector.locations(features, (SIDE, SIDE)).strides[:, None]
    bgr = images.flip(1) * 255 - torch.tensor([103.53, 116.28, 123.675]).view(3, 1, 1)
    wanted = fcos_head(state, nas_fcos_neck(state, backbone(state, bgr, eps=0.0)))
    for got, theirs in zip((logits, reach, centerness[..., None]), wanted, strict=True):
        torch.testing.assert_close(got, theirs, rtol=2e-3, atol=1e-3)
    assert wanted[0].std() > 0.1


def test_the_public_files_have_these_names_and_shapes_and_no_others():
    """At full size: expanded zeros take no memory."""
    for shapes, convert in (
        (nas_fpn_shapes("resnet50", 256, stacks=7), nas_fpn_of_toolbox),
        (nas_fcos_shapes("resnet50", 256), nas_fcos_of_toolbox),
    ):
        detector = convert({name: torch.zeros(()).expand(shape) for name, shape in shapes.items()})
        assert (detector.encoder.config["backbone"], detector.config["num_classes"]) == ("resnet50", 80)


def test_names_of_earlier_versions_are_read():
    state = state_of(nas_fcos_shapes())
    old = {
        k.replace("head.conv_", "head.fcos_").replace("conv.conv_offset", "conv_offset"): v for k, v in state.items()
    }
    assert old.keys() != state.keys()
    wanted = nas_fcos_of_toolbox(state).state_dict()
    assert all(torch.equal(value, wanted[key]) for key, value in nas_fcos_of_toolbox(old).state_dict().items())


def test_some_tensors_land_where_they_must(nas_fpn_state):
    own = nas_fpn_of_toolbox(nas_fpn_state).state_dict()
    for ours, theirs in {
        "encoder.backbone.body.layer3.1.conv2.weight": "backbone.layer3.1.conv2.weight",
        "encoder.projections.2.0.weight": "neck.lateral_convs.2.conv.weight",
        "encoder.extra_projections.1.1.running_mean": "neck.extra_downsamples.1.0.bn.running_mean",
        "encoder.pyramids.1.cells.5.1.bias": "neck.fpn_stages.1.sum_77_7.out_conv.conv.bias",
        "heads.0.box_tower.norms.4.3.weight": "bbox_head.reg_convs.4.3.bn.weight",
    }.items():
        assert torch.equal(own[ours], nas_fpn_state[theirs])


def test_a_missing_tensor_is_named(nas_fpn_state):
    state = {k: v for k, v in nas_fpn_state.items() if k != "bbox_head.retina_reg.weight"}
    with pytest.raises(ModelError, match=r"bbox_head\.retina_reg\.weight must be .* but is missing"):
        nas_fpn_of_toolbox(state)


def test_a_tensor_of_no_part_is_named(nas_fpn_state):
    nested = "neck.fpn_stages.0.gp_43_5.out_conv.conv.weight"  # a convolution that the nested cells do not have
    with pytest.raises(ModelError, match=r"gp_43_5\.out_conv\.conv\.weight in the checkpoint is no part"):
        nas_fpn_of_toolbox({**nas_fpn_state, nested: torch.zeros(16, 16, 3, 3)})


def test_a_tensor_of_another_shape_is_named(nas_fpn_state):
    with pytest.raises(ModelError, match=r"bbox_head\.retina_reg\.bias must have shape \(36,\), but has \(24,\)"):
        nas_fpn_of_toolbox({**nas_fpn_state, "bbox_head.retina_reg.bias": torch.zeros(24)})


def test_convolutions_that_the_levels_share_must_be_equal(nas_fpn_state):
    name = "bbox_head.cls_convs.3.2.conv.weight"
    with pytest.raises(ModelError, match=r"cls_convs\.3\.2\.conv\.weight must equal bbox_head\.cls_convs\.0\.2"):
        nas_fpn_of_toolbox({**nas_fpn_state, name: nas_fpn_state[name] + 1})


def test_a_head_whose_norms_have_other_groups_is_refused():
    with pytest.raises(ModelError, match="multiple of 64 channels here, but got 16"):
        nas_fcos_of_toolbox(state_of(nas_fcos_shapes(channels=16)))
