"""The ONNX file in 8 bits: layers are quantised, what the file tells is kept, and AP is told of both files."""

import json

import numpy as np
import pytest
from onnx_graphs import find_first_values
from tiny_detectors import make_detector

from msnas.config.compose import compose
from msnas.errors import ModelError
from msnas.export import onnx_int8
from msnas.export.onnx_check import Agreement
from msnas.export.onnx_export import FILE, Exported
from msnas.export.onnx_int8 import export_int8, quantise
from msnas.setup.setup import Setup

pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.filterwarnings("ignore")  # of the quantiser, about its own parts
RULE = {"short_side": 64, "long_side": 64, "pad_right_and_bottom_with": [0.5, 0.5, 0.5]}
WORDS = ["data=shapes", "data.size=64", "data.short_side=64", "data.long_side=64", "data.train=4", "data.val=3"]


@pytest.fixture
def convolution(tmp_path):
    """A graph of one convolution."""
    from onnx import TensorProto, helper, numpy_helper, save

    weights = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)
    node = helper.make_node("Conv", ["image", "weights"], ["out"])
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("image", [1, 3, 8, 8]), ("out", None))]
    graph = helper.make_graph([node], "one", ends[:1], ends[1:], [numpy_helper.from_array(weights, "weights")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    helper.set_model_props(model, {"classes": '["a"]', "precision": '"fp32"'})
    save(model, tmp_path / "plain.onnx")
    return tmp_path / "plain.onnx"


def answer(path, image):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {"image": image})[0], session.get_modelmeta().custom_metadata_map


def test_a_quantised_layer_answers_nearly_as_before_and_the_file_tells_the_same(convolution, tmp_path):
    images = [np.random.default_rng(seed).random((1, 3, 8, 8), np.float32) for seed in range(4)]
    quantise(convolution, tmp_path / "int8.onnx", "image", images)
    (before, _), (after, told) = answer(convolution, images[0]), answer(tmp_path / "int8.onnx", images[0])
    gap = np.abs(before - after).max()
    assert 0 < gap < 0.05 * np.abs(before).max()
    assert (json.loads(told["classes"]), json.loads(told["precision"])) == (["a"], "int8")


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return Setup(compose([*WORDS, f"data.root={tmp_path_factory.mktemp('shapes')}"])).data


def test_ap_is_told_of_both_files_on_the_images_of_the_reported_split(settings, tmp_path, monkeypatch):
    def export(detector, settings, path, **options):
        find_first_values(path, (2, 3, 64, 64), {"preprocessing": RULE})
        return Exported(path, (64, 64), Agreement(1, 1, 0.0, 0.0), 2)

    monkeypatch.setattr(onnx_int8, "export_onnx", export)
    made = export_int8(make_detector(short_side=64, long_side=64), settings, tmp_path / FILE, batch=2)
    assert made.images == 3
    assert made.ap_before == made.ap_after >= 0
    assert made.path.exists()


def test_where_the_float_file_is_refused_none_in_8_bits_is_written(settings, tmp_path, monkeypatch):
    def refuse(*given, **options):
        raise ModelError("finds other objects")

    monkeypatch.setattr(onnx_int8, "export_onnx", refuse)
    with pytest.raises(ModelError, match="other objects"):
        export_int8(make_detector(short_side=64, long_side=64), settings, tmp_path / FILE)
    assert list(tmp_path.iterdir()) == []
