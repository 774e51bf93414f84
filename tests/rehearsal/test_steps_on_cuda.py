"""One training and one evaluation step of every detector on the pretended GPU: no mixed devices, few waits."""

from collections import Counter

import pytest
import tiny_detectors
import torch
from pretended_cuda import CUDA, place_of, pretended_cuda

from msnas.config.compose import compose, conf_folder
from msnas.engine.devices import Hardware, to_device
from msnas.engine.loop import Training, train
from msnas.engine.schedule import Schedule
from msnas.setup.setup import Setup

GPU = Hardware(device=torch.device("cuda", 0))

DETECTORS = sorted(path.stem for path in (conf_folder() / "detector").glob("*.yaml"))
CEILINGS = {"faster_rcnn": 32, "faster_rcnn_heavy": 32, "fcos": 2, "mask_rcnn": 35, "retinanet": 2}
"""Waits of a training step, torchvision's within ours. They may only fall, and a fall is written down here."""
DETECTING = {"faster_rcnn": 9, "faster_rcnn_heavy": 9, "fcos": 4, "mask_rcnn": 12, "retinanet": 4}
"""The same of an evaluation of two images."""


class Scene:
    """The same two images at every step."""

    def __init__(self, *, masks):
        self.masks = masks

    def batch(self, step):
        return tiny_detectors.scene(masks=self.masks)


def detector(name):
    torch.manual_seed(0)
    made = Setup(compose([f"detector={name}", "scale=tiny"])).detector
    sides = {"short_side": 128, "long_side": 192}
    return made(encoder=tiny_detectors.make_encoder("supernet"), num_classes=3, score_threshold=0.0, **sides)


def trained(name, hardware, optimizer="sgd", report=None):
    """A detector after two steps, and their losses."""
    model = detector(name)
    schedule = Schedule(steps=2, batch=2, lr=0.01, clip=1.0, optimizer=optimizer)
    options = {"path_of_step": lambda step: tiny_detectors.PATH, "hardware": hardware}
    training = Training(schedule=schedule, seed=0, stage="rehearsal", **options)
    return model, train(model, Scene(masks="mask" in name), training, report=report).losses


@pytest.fixture(scope="module", params=DETECTORS)
def rehearsed(request):
    """A detector's name, itself after two steps on the GPU, the losses, and what the second step waited for."""
    waited = []
    with pretended_cuda() as waits:

        def report(line):
            waited.append(Counter(waits))
            waits.clear()

        model, losses = trained(request.param, GPU, report=report)
        return request.param, model, losses, waited[1]


def test_every_detector_has_a_ceiling():
    assert sorted(CEILINGS) == sorted(DETECTING) == DETECTORS


def test_weights_and_statistics_are_on_the_gpu(rehearsed):
    _, model, _, _ = rehearsed
    assert {place_of(tensor) for tensor in (*model.parameters(), *model.buffers())} == {CUDA}


def test_the_loss_is_that_of_the_cpu(rehearsed):
    name, _, losses, _ = rehearsed  # torchvision's NMS of many boxes rounds otherwise on a GPU, which later steps show
    assert losses[0] == trained(name, Hardware())[1][0]


def test_a_training_step_waits_as_often_as_is_written_down(rehearsed):
    name, _, _, waits = rehearsed
    assert waits.total() == CEILINGS[name], waits.most_common()


def test_the_step_of_the_engine_itself_waits_once_for_the_losses_and_the_norm(rehearsed):
    _, _, _, waits = rehearsed
    ours = {(w.operation, w.file): n for w, n in waits.items() if w.file.startswith("msnas/engine/")}
    assert ours == {("tolist", "msnas/engine/loop.py"): 1}


def test_detections_come_on_the_gpu_with_as_many_waits_as_are_written_down(rehearsed):
    name, model, _, _ = rehearsed
    with pretended_cuda() as waits, torch.inference_mode():
        images, _ = to_device(tiny_detectors.scene()[0], [], GPU.device)
        outputs = model.eval()(images, None, tiny_detectors.PATH)
    assert {place_of(tensor) for output in outputs for tensor in output.values()} == {CUDA}
    assert waits.total() == DETECTING[name], waits.most_common()


def test_adamw_steps_on_the_gpu_as_on_the_cpu():
    with pretended_cuda():
        model, _ = trained("fcos", GPU, optimizer="adamw")
        moved = [parameter.detach().cpu() for parameter in model.parameters()]
    plain = [parameter.detach() for parameter in trained("fcos", Hardware(), optimizer="adamw")[0].parameters()]
    assert all(torch.equal(a, b) for a, b in zip(moved, plain, strict=True))
