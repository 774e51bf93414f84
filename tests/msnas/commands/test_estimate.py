"""`--estimate`: the stages ahead, measured on a few steps; nothing is begun, nothing is left."""

import json
from dataclasses import replace

import pytest
from tiny_words import TINY, fitting

from msnas.cli import main
from msnas.commands.estimate import how_measured
from msnas.config.compose import compose
from msnas.engine.hardware_options import HardwareOptions
from msnas.errors import ConfigError
from msnas.families.family import SearchTrial
from msnas.pipeline import forecast as forecasting
from msnas.pipeline.forecast import forecast
from msnas.setup.setup import Setup

SPACE = ["space=msnas_7", "data=shapes", "scale=tiny"]
MEASURED = forecasting._Measured(
    opening=0, feature=0, feature_bytes=0, supernet_step=0.5, supernet_bytes=8,
    search=SearchTrial(before=3.0, each=2.0, memory=4, disk=5),
    network_step=0.25, baseline_step=0.25, network_image=0, network_bytes=1, memory=1,
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def few_steps():
    with pytest.MonkeyPatch.context() as patch:
        for name, number in (("WARM", 0), ("STEPS", 2), ("CANDIDATES", 1)):
            patch.setattr(forecasting, name, number)
        yield


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    root = tmp_path_factory.mktemp("estimate")
    words = [*SPACE, f"data.root={root / 'shapes'}", f"runs_root={root / 'runs'}", "retrain.seeds=2"]
    return [*fitting(TINY, words), *words, "train.steps=30", "retrain.steps=7"]


@pytest.fixture(scope="module")
def told(words):
    """What `msnas train --estimate` measures, with a supernet's disk to compare."""
    return {one.stage: one for one in forecast(Setup(compose(words)), stages=("train", "search", "retrain"))}


def test_it_names_the_work_of_every_stage_ahead(told):
    assert told["train"].work == "30 steps of 4 images"
    assert told["search"].work.startswith("6 evaluations on 6 images")
    assert told["retrain"].work == "3 networks, 2 trainings each, 7 steps of 4 images"


def test_every_stage_takes_time_and_memory(told):
    assert all(one.seconds > 0 and one.memory > 1e7 for one in told.values())


def test_a_supernets_disk_is_what_training_it_leaves(told, words, tmp_path):
    assert main(["train", *words, "train.steps=1", f"runs_root={tmp_path}", "run=r"]) == 0
    left = sum(file.stat().st_size for file in (tmp_path / "r/supernet").iterdir())
    assert told["train"].disk == pytest.approx(left, rel=0.1)


def test_no_run_is_made_and_later_stages_are_left_out_of_a_retraining_of_named_architectures(words, tmp_path, capsys):
    path = "1,2,2,1,2,1,1|8,8,16,16,32"
    capsys.readouterr()
    assert main(["retrain", path, *words, f"runs_root={tmp_path / 'runs'}", "--estimate", "--json"]) == 0
    [stage] = json.loads(capsys.readouterr().out)
    assert stage["stage"] == "retrain"
    assert not (tmp_path / "runs").exists()


def test_twice_the_steps_take_twice_the_time(words):
    setup = Setup(compose(words))
    assert forecasting._train(setup, setup.splits(), MEASURED).seconds == 30 * 0.5
    assert forecasting._search(setup, setup.splits(), MEASURED).seconds == 3.0 + 6 * 2.0
    assert forecasting._retrain(setup, setup.splits(), MEASURED).seconds == 3 * 2 * 7 * 0.25


def test_the_best_random_draw_and_a_spread_of_scores_are_networks_of_retraining(words):
    setup = Setup(compose([*words, "search.random=true", "retrain.spread=4"]))
    told = forecasting._retrain(setup, setup.splits(), MEASURED)
    assert told.work.startswith("8 networks")
    assert told.seconds == 8 * 2 * 7 * 0.25


@pytest.mark.parametrize("experiment", ["nas_fpn", "nas_fcos"])
def test_the_other_families_are_foreseen_too(experiment, tmp_path):
    words = [f"experiment={experiment}", "scale=tiny", "data=shapes", f"data.root={tmp_path / 'shapes'}"]
    told = forecast(Setup(compose([*fitting(TINY, words), *words])), stages=("train", "search", "retrain"))
    assert [one.stage for one in told] == ["train", "search", "retrain"]
    assert told[0].seconds >= 0  # NAS-FPN trains nothing first
    assert told[1].seconds > 0
    assert told[2].seconds > 0


def test_what_a_search_refuses_its_estimate_refuses(tmp_path):
    words = ["experiment=nas_fcos", "scale=tiny", "data=shapes", f"data.root={tmp_path}", "hardware.workers=2"]
    with pytest.raises(ConfigError, match=r"hardware\.workers must be 0"):
        forecast(Setup(compose(words)), stages=("train", "search"))


def test_what_a_search_caches_on_disk_is_its_disk(words):
    setup = Setup(compose(words))
    told = forecasting._search(setup, setup.splits(), MEASURED)
    assert (told.disk, told.memory) == (5, 1 + 4)


def test_a_named_network_stands_for_those_that_are_trained_alone(words):
    path = "1,2,2,1,2,1,1|8,8,16,16,32"
    assert str(forecasting._network_ahead(Setup(compose([*words, f"retrain.architectures=['{path}']"])))) == path


def test_several_gpus_are_told_what_they_change():
    assert "torchrun" not in how_measured(1)
    assert how_measured(8).endswith("under torchrun 8 of them share each step, which takes an 8th at best.")


def test_of_a_batch_that_gpus_may_share_one_takes_a_share_at_a_time(words, monkeypatch):
    setup = Setup(compose(words))
    trained = []

    def train(model, batches, training, report):
        trained.append(batches.batch_size)
        for _ in range(training.schedule.steps):
            report({"seconds": 0.5})

    monkeypatch.setattr(forecasting, "train", train)
    monkeypatch.setattr(HardwareOptions, "gpus", lambda self: 4)
    few = forecasting._few(setup.splits())
    assert forecasting.step_seconds(setup, None, few, setup.hardware.for_training()) == 4 * 0.5
    assert trained == [1]  # of 4


def test_workers_take_the_time_of_starting_them(words):
    setup = Setup(compose([*words, "hardware.workers=2"]))
    started = replace(MEASURED, starting=5.0)
    for stage in (forecasting._search, forecasting._retrain):
        without, with_start = (stage(setup, setup.splits(), measured).seconds for measured in (MEASURED, started))
        assert with_start - without == 5.0


def test_a_cluster_is_told_by_one_of_its_workers(words):
    setup = Setup(compose([*words, "hardware=ray"]))
    assert "a cluster of N workers takes an Nth" in forecasting._search(setup, setup.splits(), MEASURED).work


def test_a_stage_that_cannot_be_foreseen_refuses_the_flag(capsys):
    assert main(["check", "--estimate"]) == 2
    assert "There is no flag '--estimate'" in capsys.readouterr().err
