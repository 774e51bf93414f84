"""The ONNX file: what onnxruntime finds is what torch finds, and a file that differs is not left behind."""

import json
import shutil

import numpy as np
import pytest
import torch
from tiny_detectors import make_detector

from msnas.cli import main
from msnas.config.compose import compose
from msnas.detectors.fcos import FCOS
from msnas.detectors.retinanet import RetinaNet
from msnas.errors import ModelError
from msnas.export import onnx_check, onnx_export
from msnas.export.onnx_export import FILE, export_onnx
from msnas.setup.setup import Setup
from supernet.nas_fcos.decoder import PUBLISHED
from supernet.nas_fcos.fcos_encoder import FcosEncoder
from supernet.nas_fcos.operations import DeformableConv
from supernet.nas_fpn.plan_encoder import NasFpnEncoder
from supernet.nas_fpn.pyramid_plan import DISCOVERED

pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.filterwarnings("ignore")  # of the exporter, about its own parts
SIZE = {"short_side": 64, "long_side": 64}
WORDS = ["data=shapes", "scale=tiny", "data.size=64", "data.short_side=64", "data.long_side=64"]


def detector(kind="faster_rcnn"):
    torch.manual_seed(0)
    options = {"num_classes": 3, "short_side": 64, "long_side": 64, "detections": 20}
    small = {"channels": 16, "width": 0.25}
    if kind == "faster_rcnn":
        made = make_detector(**SIZE)
    elif kind == "retinanet":
        encoder = NasFpnEncoder(DISCOVERED, backbone="resnet10", stacks=1, **small)
        made = RetinaNet(encoder, score_threshold=0.3, batch_norm_momentum=None, **options)
        far_apart(made.heads)
    else:  # with deformable convolutions in the pyramid and in the head
        encoder = FcosEncoder(str(PUBLISHED.pyramid), backbone="resnet18", **small)
        made = FCOS(encoder, head=str(PUBLISHED.head), **options)
        for module in made.modules():
            if isinstance(module, DeformableConv):
                torch.nn.init.normal_(module.offset.weight, std=0.3)
        far_apart(made.head.logits, made.head.distances, made.head.centerness)
    made.meta = {"classes": ["a", "b", "c"], "category_ids": [1, 2, 3]}
    return made.eval()


def far_apart(*predictors):
    """Untrained, all scores and boxes would be about the same."""
    for conv in (layer for part in predictors for layer in part.modules() if isinstance(layer, torch.nn.Conv2d)):
        torch.nn.init.normal_(conv.weight, std=0.1)
        torch.nn.init.zeros_(conv.bias)


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return Setup(compose([*WORDS, "data.train=4", "data.val=4", f"data.root={tmp_path_factory.mktemp('shapes')}"])).data


@pytest.fixture(scope="module")
def exported(settings, tmp_path_factory):
    return export_onnx(detector(), settings, tmp_path_factory.mktemp("out") / FILE)


def session(exported):
    return onnxruntime.InferenceSession(str(exported.path), providers=["CPUExecutionProvider"])


def test_onnxruntime_finds_what_torch_finds(exported):
    assert (exported.checked.images, exported.size) == (4, (64, 64))
    assert exported.checked.detections > 0
    assert exported.checked.boxes < 1e-2
    assert exported.checked.scores < 1e-4


@pytest.mark.parametrize("kind", ["retinanet", "fcos"])
def test_one_stage_detectors_are_written_too(kind, settings, tmp_path):
    made = export_onnx(detector(kind), settings, tmp_path / FILE)
    assert made.checked.detections > 20
    assert made.checked.boxes < 1e-2
    assert made.checked.scores < 1e-4
    assert made.path.exists()


def test_a_graph_that_onnxruntime_cannot_run_is_one_line(settings, tmp_path, monkeypatch):
    missing = onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented

    def refuse(*given, **named):
        raise missing("Could not find an implementation for DeformConv(19)")

    monkeypatch.setattr(onnx_export, "_write", lambda *given: None)
    monkeypatch.setattr(onnxruntime, "InferenceSession", refuse)
    with pytest.raises(ModelError, match="cannot run this detector: Could not find"):
        export_onnx(detector(), settings, tmp_path / FILE)


def test_the_graph_normalises_as_the_detector_does(settings, tmp_path):
    one = make_detector(**SIZE, image_mean=[0.5] * 3, image_std=[0.5] * 3).eval()
    one.meta = {"classes": ["a", "b", "c"], "category_ids": [1, 2, 3]}
    made = export_onnx(one, settings, tmp_path / FILE)
    told = session(made).get_modelmeta().custom_metadata_map
    assert made.checked.scores < 1e-4
    assert json.loads(told["preprocessing"])["pad_right_and_bottom_with"] == [0.5, 0.5, 0.5]


def test_the_graph_goes_from_one_image_to_boxes_scores_and_labels(exported):
    boxes, scores, labels = session(exported).run(None, {"image": np.full((3, 64, 64), 0.3, np.float32)})
    assert boxes.shape == (len(scores), 4)
    assert labels.dtype == np.int64


def test_the_file_says_what_its_labels_and_its_input_mean(exported):
    told = session(exported).get_modelmeta().custom_metadata_map
    assert json.loads(told["classes"]) == ["a", "b", "c"]
    assert json.loads(told["preprocessing"])["height"] == 64


def test_a_graph_that_differs_is_refused_and_not_left_behind(exported, settings, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_export, "_write", lambda single, size, path: shutil.copyfile(exported.path, path))
    honest = onnx_export.in_torch
    monkeypatch.setattr(onnx_export, "in_torch", lambda *given: (honest(*given)[0] + 1, *honest(*given)[1:]))
    with pytest.raises(ModelError, match="finds other objects"):
        export_onnx(detector(), settings, tmp_path / FILE)
    assert list(tmp_path.iterdir()) == []


def test_the_detector_is_left_with_the_nms_of_torchvision(exported):
    from torchvision.ops import boxes

    assert boxes.batched_nms.__module__ == "torchvision.ops.boxes"


def test_a_missing_extra_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(onnx_export, "_EXTRA", ("onnx", "no_such_package"))
    assert main(["export", "onnx=true"]) == 2
    assert "pip install 'msnas[export]'" in capsys.readouterr().err


def test_a_detection_without_a_like_has_no_finite_gap():
    one = (np.zeros((1, 4)), np.ones(1), np.array([1]))
    other = (np.zeros((1, 4)), np.ones(1), np.array([2]))
    assert np.isinf(onnx_check._nearest(one, other)[0]).all()


def test_a_detector_of_another_kind_is_refused_by_name(settings, tmp_path):
    with pytest.raises(ModelError, match="FasterRCNN, RetinaNet, FCOS, but this model is a Linear"):
        export_onnx(torch.nn.Linear(1, 1), settings, tmp_path / FILE)
