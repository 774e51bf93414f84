"""Networks that are trained side by side: the same as one after another; stopped, resumed; diverged, killed."""

import os
import shutil
import signal
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool

import pytest
import torch

from msnas.cli import main
from msnas.engine.devices import Hardware
from msnas.errors import RunError, TrainingError
from msnas.files import read_json
from msnas.pipeline import trainings
from msnas.pipeline.standalone_training import Entry
from msnas.runs.progress import Progress
from supernet.cost import Cost

WORDS = [
    *("space=msnas_7", "scale=tiny", "budget=none", "space.channels=8", "baseline.channels=8"),
    *("data=shapes", "data.size=64", "data.short_side=64", "data.long_side=64"),
    *("data.train=12", "data.val=4", "data.search_val.minimum=2", "schedule.batch=4", "hardware.train_threads=1"),
    *("retrain.steps=6", "retrain.checkpoint_every=100", "retrain.seeds=1", "retrain.point=false"),
]
PATH = "1,2,1,1,1,0.5,1|4,4,8,8,8"
FPN = Entry("fpn", "the FPN", "fpn", torch.nn.Identity, Cost(0, 0), None, 0)


def retrained(place, *words):
    """The exit status of a training of PATH and the FPN."""
    return main(
        ["retrain", PATH, f"runs_root={place / 'runs'}", "run=r", f"data.root={place / 'shapes'}", *WORDS, *words]
    )


def networks(place):
    """Of each network its weights, and how many steps its journal has."""
    found = {}
    for folder in sorted((place / "runs" / "r" / "retrain").glob("*/")):
        lines = (folder / "metrics.jsonl").read_text().splitlines()
        found[folder.name] = ((folder / "model.safetensors").read_bytes(), len(lines))
    return found


@pytest.fixture(scope="module")
def one_by_one(tmp_path_factory):
    threads = torch.get_num_threads()
    place = tmp_path_factory.mktemp("trainings")
    assert retrained(place) == 0
    yield place
    torch.set_num_threads(threads)


@pytest.fixture
def place(one_by_one, tmp_path):
    """Where the same data are, and no run is."""
    shutil.copytree(one_by_one / "shapes", tmp_path / "shapes")
    return tmp_path


def test_stopped_side_by_side_they_go_on_to_what_they_are_one_by_one(one_by_one, place, monkeypatch, capsys):
    sent = []

    def stopping(self, done, *_args, **_options):
        if not sent:  # another one, later, is of an impatient user
            sent.append(os.kill(os.getpid(), signal.SIGINT))

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "update", stopping)  # in this process, which is told of steps that were made
        patch.setattr(trainings, "LOOK_EVERY", 0.01)
        assert retrained(place, "hardware.workers=2") == 130
    assert "retrain stopped after" in capsys.readouterr().err
    assert not list(place.glob("runs/r/retrain/table.json"))
    assert retrained(place, "hardware.workers=0") == 0
    assert networks(place) == networks(one_by_one)


@pytest.mark.parametrize(("error", "tries"), [(torch.OutOfMemoryError("full"), 2), (ValueError("nan"), 1)])
@pytest.mark.parametrize("in_a_step", [True, False])
def test_a_network_that_neighbours_left_no_memory_for_is_trained_once_more(monkeypatch, error, tries, in_a_step):
    tried = []

    def training(*_args, **_options):
        tried.append(None)
        if in_a_step:
            raise TrainingError("It failed.") from error
        raise error

    monkeypatch.setattr(trainings, "train_entry", training)
    with pytest.raises(TrainingError if in_a_step else type(error)):
        trainings._train_in_turn(None, FPN, None, None, Hardware())
    assert len(tried) == tries


def ended(error):
    """What stands for a training in a process, which ended so."""
    future = Future()
    future.set_exception(error)
    return future


def test_a_network_that_cannot_be_trained_ends_the_others():
    with pytest.raises(TrainingError, match="not finite"):
        trainings._take(ended(TrainingError("not finite")), FPN, None, stopping=False)


def test_where_somebody_is_told_of_a_network_that_cannot_be_trained_the_others_go_on():
    told = []
    trainings._take(ended(TrainingError("not finite")), FPN, lambda *lost: told.append(lost), stopping=False)
    assert [(entry.name, str(error)) for entry, error in told] == [("the FPN", "not finite")]


def test_a_process_that_dies_is_one_line_that_says_what_to_do():
    with pytest.raises(RunError, match=r"that of the FPN died; .*: lower hardware.workers"):
        trainings._take(ended(BrokenProcessPool()), FPN, None, stopping=False)


def test_a_process_that_dies_when_it_is_asked_to_stop_is_no_error():
    assert trainings._take(ended(BrokenProcessPool()), FPN, None, stopping=True) is None


def test_the_plan_says_how_many_are_trained_at_a_time(one_by_one):
    assert read_json(one_by_one / "runs" / "r" / "retrain" / "plan.json") == {"networks": 2, "side_by_side": 1}
