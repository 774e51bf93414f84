"""The ONNX file: what onnxruntime finds is what torch finds, and a file that differs is not left behind."""

import json
import shutil

import numpy as np
import pytest
import torch
from onnx_graphs import find_first_values
from tiny_detectors import make_detector

from msnas.cli import main
from msnas.config.compose import compose
from msnas.data.records import AnnotationFile, ImageRecord
from msnas.data.source import read_source
from msnas.detectors.fcos import FCOS
from msnas.detectors.retinanet import RetinaNet
from msnas.errors import ConfigError, DataError, ModelError
from msnas.export import onnx_check, onnx_export
from msnas.export.onnx_check import TOLERANCES, compare
from msnas.export.onnx_export import FILE, export_onnx
from msnas.export.onnx_graph import ManyImages, OneImage, halve
from msnas.export.onnx_inputs import Input, input_of
from msnas.export.onnx_options import PRECISIONS, SIZES, OnnxOptions
from msnas.export.onnx_session import OnnxSession
from msnas.setup.setup import Setup
from supernet.nas_fcos.fcos_encoder import FcosEncoder
from supernet.nas_fcos.operations import DeformableConv
from supernet.nas_fpn.plan_encoder import NasFpnEncoder
from supernet.nas_fpn.pyramid_plan import PyramidPlan

pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.filterwarnings("ignore")  # of the exporter, about its own parts
SIZE = {"short_side": 64, "long_side": 64}
WORDS = ["data=shapes", "scale=tiny", "data.size=64", "data.short_side=64", "data.long_side=64"]


def detector(kind="faster_rcnn"):
    torch.manual_seed(0)
    options = {"num_classes": 3, "short_side": 64, "long_side": 64, "detections": 20}
    small = {"channels": 16, "width": 0.25}
    if kind == "faster_rcnn":  # not normalised as by default
        made = make_detector(**SIZE, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    elif kind == "retinanet":
        encoder = NasFpnEncoder(PyramidPlan.parse("0,1,3,gp|1,2,4,sum"), backbone="resnet10", stacks=1, **small)
        made = RetinaNet(encoder, score_threshold=0.3, batch_norm_momentum=None, **options)
        far_apart(made.heads)
    else:  # with deformable convolutions in the pyramid and in the head
        encoder = FcosEncoder("c3:0,1,4,3,0:1,2,3,0,1:2,2,3,3,0", backbone="resnet10", **small)
        made = FCOS(encoder, head="5,1|0", **options)
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


def test_one_stage_detectors_are_written_too(settings, tmp_path):
    made = export_onnx(detector("fcos"), settings, tmp_path / FILE)
    assert made.checked.detections > 20
    assert made.checked.boxes < 1e-2
    assert made.checked.scores < 1e-4
    assert made.path.exists()


def test_half_precision_finds_what_torch_finds_in_float32(settings, tmp_path):
    made = export_onnx(detector("retinanet"), settings, tmp_path / FILE, size="any", precision="fp16")
    assert made.checked.detections > 20
    boxes, scores, _ = session(made).run(None, {"image": np.full((3, *made.size), 0.3, np.float32)})
    assert (boxes.dtype, scores.dtype) == (np.float32, np.float32)
    assert OnnxSession(made.path, threads=1).precision == "fp16"


def test_each_image_of_a_batch_gets_its_own_detections_also_in_a_batch_that_is_not_full(tmp_path):
    find_first_values(tmp_path / FILE, (2, 3, 4, 4))
    images = [torch.full((3, 4, 4), value) for value in (0.25, 0.5, 0.75)]
    found = OnnxSession(tmp_path / FILE, threads=1).detections(images)
    assert [(boxes.shape, scores.tolist(), labels.tolist()) for boxes, scores, labels in found] == [
        ((1, 4), [score], [1]) for score in (0.25, 0.5, 0.75)
    ]


def test_the_list_of_each_image_of_a_batch_is_filled_up_with_zeros():
    one = make_detector(**SIZE, detections=500).eval()
    images = torch.rand(2, 3, 64, 64)
    many, single = ManyImages(OneImage(one)).eval(), OneImage(one).eval()
    boxes, scores, labels = many(images)
    for i, image in enumerate(images):
        found = labels[i] > 0
        assert 0 < found.sum() < len(found)
        assert torch.allclose(boxes[i][found], single(image)[0], atol=1e-4)
        assert (scores[i][~found] == 0).all()


def test_half_precision_is_in_the_layers_and_coordinates_stay_float():
    one = detector().eval()
    halve(one)
    assert {p.dtype for p in one.encoder.parameters()} == {torch.float16}
    assert one.transform.mean.dtype == torch.float32


def lying(width, height):
    return ImageRecord(1, "a.png", width, height, row=0)


@pytest.mark.parametrize(
    ("kind", "size"),
    [("common", (64, 128)), ("landscape", (64, 128)), ("portrait", (128, 64)), ("any", (128, 128))],
)
def test_the_size_of_an_input_is_by_the_data(kind, size, monkeypatch):
    one = make_detector(short_side=64, long_side=128)
    part = AnnotationFile(None, images=[lying(200, 100), lying(200, 100), lying(100, 200)])
    assert input_of(one, part, kind).size == size


def test_where_no_image_stands_upright_images_are_turned(settings):
    part = read_source(settings).val
    wide = Input((128, 64), (64, 64), (0.5, 0.5, 0.5))
    assert [tuple(image.shape) for image in wide.canvases(part, 2)] == [(3, 128, 64)] * 2
    narrow = Input((64, 32), (64, 64), (0.5, 0.5, 0.5))
    with pytest.raises(DataError, match="fits into an input of 64x32"):
        narrow.canvases(part)


def test_no_two_kinds_of_file_share_a_name():
    kinds = [OnnxOptions(batch=b, sizes=s, precision=p) for b in (1, 2) for s in SIZES for p in PRECISIONS]
    names = [name for kind in kinds for name in kind.files().values()]
    assert len(set(names)) == len(names)
    assert "model.onnx" in names


@pytest.mark.parametrize("wrong", [{"batch": 0}, {"batch": 1.5}, {"sizes": "all"}, {"precision": "bf16"}])
def test_options_that_make_no_sense_are_refused_by_name(wrong):
    with pytest.raises(ConfigError, match=f"export.{next(iter(wrong))} must be"):
        OnnxOptions(**wrong)


def test_a_graph_that_onnxruntime_cannot_run_is_one_line(settings, tmp_path, monkeypatch):
    missing = onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented

    def refuse(*given, **named):
        raise missing("Could not find an implementation for DeformConv(19)")

    monkeypatch.setattr(onnx_export, "write_graph", lambda *given: None)
    monkeypatch.setattr(onnxruntime, "InferenceSession", refuse)
    with pytest.raises(ModelError, match="cannot run this detector: Could not find"):
        export_onnx(detector(), settings, tmp_path / FILE)


def test_the_graph_normalises_as_the_detector_does(exported):
    told = session(exported).get_modelmeta().custom_metadata_map
    assert exported.checked.scores < 1e-4
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
    monkeypatch.setattr(onnx_export, "write_graph", lambda graph, shape, path, _: shutil.copyfile(exported.path, path))
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
    assert np.isinf(onnx_check._nearest(one, other, TOLERANCES["fp32"])).all()


def test_a_few_detections_of_half_precision_may_have_no_like():
    one = make_detector(**SIZE)
    boxes = np.arange(360.0).reshape(90, 4)
    ours = (boxes, np.full(90, 0.9), np.ones(90, np.int64))
    theirs = (np.where(np.arange(90)[:, None] < 2, 1000.0, boxes), *ours[1:])
    assert compare(one, [ours], [theirs], TOLERANCES["fp16"]).lost == 4
    with pytest.raises(ModelError, match="4 of 180 are further apart"):
        compare(one, [ours], [theirs], TOLERANCES["fp32"])


def test_a_detector_of_another_kind_is_refused_by_name(settings, tmp_path):
    with pytest.raises(ModelError, match="FasterRCNN, RetinaNet, FCOS, but this model is a Linear"):
        export_onnx(torch.nn.Linear(1, 1), settings, tmp_path / FILE)
