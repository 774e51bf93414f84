"""What TensorBoard is given: the numbers of the journal, one of each step however often a run was killed, pictures."""

import importlib.util
import re

import numpy as np
import pytest
import tiny_pipeline

from msnas.cli import main
from msnas.config.compose import compose
from msnas.data.batches import Batches
from msnas.engine.devices import Hardware
from msnas.engine.loop import Training, train
from msnas.engine.schedule import Schedule
from msnas.pipeline.tensorboard import Board, detections_beside_truth, picture_of, training_board
from msnas.setup.setup import Setup

event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


def shown(folder):
    events = event_accumulator.EventAccumulator(str(folder), {"scalars": 0, "images": 0})
    return events.Reload()


def trained(folder, data, steps=4):
    model = tiny_pipeline.supernet(len(data.train.classes))
    with Board(folder, on=True) as board:
        report = training_board(
            board, model, data.search_val, every=3, steps=steps, hardware=Hardware(), path_of_step=tiny_pipeline.path
        )
        recipe = Schedule(steps=steps, batch=4, lr=0.01)
        training = Training(schedule=recipe, seed=1, stage="t", path_of_step=tiny_pipeline.path)
        losses = train(model, Batches(data.supernet_train, 4, seed=1), training, report=report).losses
    return model, losses


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny_pipeline.splits(str(tmp_path_factory.mktemp("shapes")))


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("board")
    return folder, *trained(folder, data)


def test_every_step_has_its_loss_rate_and_speed(run):
    folder, _, losses = run
    events = shown(folder)
    assert [point.value for point in events.Scalars("loss/loss")] == pytest.approx(list(losses))
    assert [point.step for point in events.Scalars("step/lr")] == [0, 1, 2, 3]
    assert all(point.value > 0 for point in events.Scalars("step/steps per second"))


def test_pictures_come_at_each_checkpoint_and_at_the_end(run, data):
    images = shown(run[0]).Images(f"truth and detections/{data.search_val.image_ids[0]}")
    assert [image.step for image in images] == [2, 3]
    assert (images[0].height, images[0].width) == (64, 128)


def test_looking_does_not_change_what_is_trained(run, data):
    model = tiny_pipeline.supernet(len(data.train.classes))
    batches = Batches(data.supernet_train, 4, seed=1)
    recipe = Schedule(steps=4, batch=4, lr=0.01)
    training = Training(schedule=recipe, seed=1, stage="t", path_of_step=tiny_pipeline.path)
    assert train(model, batches, training).losses == run[2]


def test_truth_is_drawn_on_the_left_and_as_many_detections_on_the_right(run, data):
    pixels = detections_beside_truth(run[1], data.search_val, 0, path=tiny_pipeline.path(0), hardware=Hardware())
    plain = data.search_val.load(0)[0].permute(1, 2, 0).numpy()
    assert pixels.shape == (64, 128, 3)
    assert all((half != plain).any() for half in (pixels[:, :64], pixels[:, 64:]))


def test_points_that_a_killed_run_left_behind_are_replaced(tmp_path):
    for first in (0, 2):
        with Board(tmp_path, on=True) as board:
            for step in range(first, 4):
                board.scalars(step, {"loss": float(10 * first + step)})
        if first == 0:  # TensorBoard reads files by name, which begins with the second: the killed run is an older one
            [events] = tmp_path.iterdir()
            events.rename(events.with_name(re.sub(r"tfevents\.\d+", "tfevents.0000000001", events.name)))
    points = {point.step: point.value for point in shown(tmp_path).Scalars("loss")}
    assert points == {0: 0.0, 1: 1.0, 2: 22.0, 3: 23.0}


def test_only_numbers_become_curves(tmp_path):
    with Board(tmp_path, on=True) as board:
        board.scalars(1, {"generation": 1, "best": 0.25, "mean": None, "draws": {"random": 3}}, part="generation")
    assert shown(tmp_path).Tags()["scalars"] == ["generation/best"]


def test_a_board_that_is_off_writes_nothing(tmp_path):
    with Board(tmp_path, on=False) as board:
        board.scalars(0, {"loss": 1.0})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("space", ["msnas_r18", "nas_fpn"])
def test_a_winner_is_drawn_whatever_its_family(space):
    config = compose([f"space={space}", "scale=tiny", "input=128x128"])
    architecture = Setup(config).space.decode(Setup(config).space.sample(np.random.default_rng(0)))
    pixels = picture_of(Setup(config), architecture)
    assert pixels.ndim == 3
    assert len(np.unique(pixels)) > 10


def test_a_missing_package_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    words = ["data=shapes", f"data.root={tmp_path / 'd'}", "data.train=24", "data.val=8", "scale=tiny"]
    assert main(["train", *words, f"runs_root={tmp_path / 'runs'}", "log.tensorboard=true"]) == 2
    assert "pip install 'msnas[tensorboard]'" in capsys.readouterr().err
