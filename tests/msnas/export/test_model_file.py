"""A model comes back as it was saved; what is missing, damaged or not ours is one line."""

import importlib
import json
import subprocess
import sys

import pytest
import torch
from tiny_detectors import PATH, make_detector, scene

import msnas
from msnas.config.compose import PLUGINS
from msnas.errors import ModelError
from msnas.export import model_file

META = {
    "classes": ["fish", "jellyfish", "ray"],
    "category_ids": [1, 5, 9],
    "architecture": str(PATH),
    "ap": 0.25,
}


@pytest.fixture
def saved(tmp_path):
    model_file.save(tmp_path, make_detector(score_threshold=0.0), META)
    return tmp_path


@pytest.mark.parametrize("kind", ["path", "bottleneck", "base_stride_2", "fpn", "supernet"])
@pytest.mark.parametrize("mask", [False, True])
def test_loaded_detector_equals_the_saved_one_bitwise(tmp_path, kind, mask):
    detector, (images, _) = make_detector(kind, mask=mask, score_threshold=0.0).eval(), scene()
    model_file.save(tmp_path, detector, META)
    loaded = msnas.load(tmp_path)
    for name, tensor in detector.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)
    path = {"architecture": PATH} if kind == "supernet" else {}
    with torch.no_grad():
        for ours, theirs in zip(loaded(images, **path), detector(images, **path), strict=True):
            assert len(ours["boxes"]) > 0
            assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_an_extracted_path_is_saved_without_the_supernet(tmp_path):
    supernet, (images, _) = make_detector("supernet", score_threshold=0.0).eval(), scene()
    model_file.save(tmp_path, supernet.extract(PATH), META)
    loaded = msnas.load(tmp_path)
    assert json.loads((tmp_path / "model.json").read_text())["encoder"]["kind"] == "path"
    with torch.no_grad():
        assert torch.equal(loaded(images)[0]["boxes"], supernet(images, architecture=PATH)[0]["boxes"])


def test_a_loaded_detector_goes_on_learning(saved):
    detector, (images, targets) = msnas.load(saved).train(), scene()
    sum(detector(images, targets).values()).backward()
    assert all(p.device.type == "cpu" for p in detector.parameters())
    assert sum(p.grad is not None for p in detector.parameters()) > 50


@pytest.mark.parametrize("name", ["", "model.json", "model.safetensors"])
def test_folder_and_both_files_name_the_model(saved, name):
    assert msnas.load(saved / name).meta == META


def test_json_says_what_to_do_to_an_image(saved):
    preprocessing = json.loads((saved / "model.json").read_text())["preprocessing"]
    assert preprocessing["short_side"] == 128
    assert preprocessing["pad_right_and_bottom_with_zeros_to_multiple_of"] == 64


def test_a_file_with_an_option_that_is_gone_is_loaded(saved):
    path = saved / "model.json"
    content = json.loads(path.read_text())
    content["encoder"]["options"]["input_norm"] = False
    path.write_text(json.dumps(content))
    assert msnas.load(saved).meta == META


def test_the_normalisation_travels_in_the_file(tmp_path):
    options = {"image_mean": (0.5, 0.4, 0.3), "image_std": (0.5, 0.5, 0.25)}
    model_file.save(tmp_path, make_detector(**options), META)
    loaded = msnas.load(tmp_path)
    assert (loaded.transform.mean.flatten().tolist()) == pytest.approx([0.5, 0.4, 0.3])
    preprocessing = json.loads((tmp_path / "model.json").read_text())["preprocessing"]
    assert (preprocessing["mean"], preprocessing["std"]) == ([0.5, 0.4, 0.3], [0.5, 0.5, 0.25])


def test_saving_again_replaces_the_model(saved):
    detector = make_detector("fpn")
    model_file.save(saved, detector, META)
    assert type(msnas.load(saved).encoder).__name__ == "FpnEncoder"
    assert sorted(path.name for path in saved.iterdir()) == ["model.json", "model.safetensors"]


def edit(folder, **changes):
    path = folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def damage_weights(folder):
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


FAULTS = {
    "no folder": (lambda f: [p.unlink() for p in f.iterdir()], "does not exist"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "has no model.safetensors"),
    "one bit of the weights": (damage_weights, "damaged"),
    "half the weights": (lambda f: (f / "model.safetensors").write_bytes(b"1234"), "damaged"),
    "half the json": (lambda f: (f / "model.json").write_text('{"format": "msn'), "must be a JSON file"),
    "not utf-8": (lambda f: (f / "model.json").write_bytes(b"\xff\xfe\x00"), "must be a JSON file"),
    "another json": (lambda f: (f / "model.json").write_text("[1]"), "must be a model of this library"),
    "a newer version": (lambda f: edit(f, version=2), "format version 2"),
    "code by name": (lambda f: edit(f, encoder={"kind": "os.system", "options": {}}), "kind must lie inside"),
    "code of ours by name": (
        lambda f: edit(f, encoder={"kind": "supernet.strides.first_stage_cost.fpn_cost", "options": {}}),
        "kind must be one of",
    ),
    "a module that is none": (lambda f: edit(f, encoder={"kind": "supernet.nothing.N", "options": {}}), "can be built"),
    "a strange option": (lambda f: edit(f, encoder={"kind": "fpn", "options": {"roots": 1}}), "roots"),
    "other weights": (
        lambda f: edit(f, encoder={"kind": "fpn", "options": {"backbone": "resnet18", "channels": 16}}),
        "cannot|can be built",
    ),
    "fewer classes": (lambda f: edit(f, meta={**META, "classes": ["fish"]}), "classes, one a class"),
    "no meta": (lambda f: edit(f, meta=None), "can be built"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_cannot_be_loaded_is_one_line(saved, fault):
    damage, words = FAULTS[fault]
    damage(saved)
    with pytest.raises(ModelError, match=words) as raised:
        msnas.load(saved)
    assert "\n" not in str(raised.value)


def test_a_network_of_a_package_in_plugins_is_built(tmp_path, monkeypatch):
    (tmp_path / "my_nets.py").write_text(
        "from supernet.strides.stride_encoder import PathEncoder\n\n\nclass Mine(PathEncoder):\n    pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    detector = make_detector()
    detector.encoder.__class__ = importlib.import_module("my_nets").Mine
    model_file.save(tmp_path, detector, META)
    with pytest.raises(ModelError, match="package of plugins="):
        msnas.load(tmp_path)
    monkeypatch.setenv(PLUGINS, "my_nets")
    assert type(msnas.load(tmp_path).encoder).__name__ == "Mine"


def test_class_names_must_fit_the_detector(tmp_path):
    with pytest.raises(ModelError, match="category_ids, one a class"):
        model_file.save(tmp_path, make_detector(), {"classes": list("abc")})


def test_importing_the_package_does_not_import_torch():
    check = "import msnas, sys; assert 'torch' not in sys.modules; print(sorted(msnas.__all__))"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['__version__', 'load']"
