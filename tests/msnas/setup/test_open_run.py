"""A run and the data that its first stage has read."""

import json

import pytest
import yaml
from coco_folders import CocoFolder

from msnas.config.retrain_recipe import OWN
from msnas.data.opening import Splits
from msnas.errors import RunError
from msnas.setup import open_run
from msnas.setup.open_run import OpenRun, open_existing, open_new, shared, stored_setup


def words(folder: CocoFolder) -> list[str]:
    return [f"data.root={folder.root}", f"runs_root={folder.root / 'runs'}", "run=a", "scale=tiny"]


@pytest.fixture
def begun(folder: CocoFolder) -> OpenRun:
    run = open_new(words(folder.write()))
    run.splits()
    return run


def test_the_first_stage_keeps_classes_and_counts(begun: OpenRun):
    kept = json.loads((begun.folder / "data.json").read_text())
    assert kept["classes"] == {"3": "crab", "7": "fish"}
    assert kept["splits"]["train"]["boxes"] == 12


def test_a_later_stage_reads_the_same_data(begun: OpenRun, folder: CocoFolder):
    assert isinstance(open_existing(words(folder), stage="search").splits(), Splits)


def test_a_later_stage_refuses_data_that_has_changed(begun: OpenRun, folder: CocoFolder):
    folder.train["annotations"].pop()
    folder.write()
    with pytest.raises(RunError, match=r"run a must read the same data, but .*train.json had 12 boxes and has 11; put"):
        open_existing(words(folder), stage="search").splits()


def test_a_process_that_does_not_write_leaves_nothing(folder: CocoFolder):
    run = open_new(words(folder.write()))
    run.splits(writes=False)
    assert not (run.folder / "data.json").exists()


def test_a_run_of_before_there_were_recipes_of_retraining_has_none(begun: OpenRun, folder: CocoFolder):
    file = begun.folder / "config.yaml"
    known = yaml.safe_load(file.read_text())
    known["retrain"] = {key: value for key, value in known["retrain"].items() if key not in (*OWN, "input")}
    file.write_text(yaml.safe_dump(known, sort_keys=False))
    assert stored_setup(begun.folder).retraining_changes == {}
    assert open_existing(words(folder), stage="search").setup.retraining_changes == {}


def test_an_option_that_is_gone_is_left_out_of_older_runs(begun: OpenRun, folder: CocoFolder):
    file, given = begun.folder / "config.yaml", begun.folder / "words.json"
    known = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump(known | {"backbone": {"input_norm": False}}, sort_keys=False))
    given.write_text(json.dumps([*json.loads(given.read_text()), "backbone.input_norm=false"]))
    assert open_existing(words(folder), stage="search").setup.family.encoder == begun.setup.family.encoder


def test_an_option_that_a_run_knows_by_its_former_name_keeps_its_value(folder: CocoFolder):
    behind = ["space=msnas_timm", "backbone.weights=none", "backbone.train=full"]
    run = open_new([*words(folder.write()), *behind, "encoder.residual_init=0.5"])
    file, given = run.folder / "config.yaml", run.folder / "words.json"
    known = yaml.safe_load(file.read_text())
    known["backbone"]["residual_init"] = known.pop("encoder")["residual_init"]
    file.write_text(yaml.safe_dump(known, sort_keys=False))
    given.write_text(given.read_text().replace("encoder.residual_init", "backbone.residual_init"))
    assert stored_setup(run.folder).family.encoder.residual_init == 0.5
    assert open_existing(words(folder)).setup.family.encoder.residual_init == 0.5


class Processes:
    """The first of two processes, or with `told` the second one, which is told that by the first."""

    def __init__(self, told: str | None = None) -> None:
        self.told, self.writes = told, told is None

    def gather(self, value: str | None) -> list[str | None]:
        self.told = self.told or value
        return [self.told, None]


@pytest.fixture
def told(begun: OpenRun) -> str:
    """What the process that writes tells of a run whose supernet is trained."""
    (begun.folder / "supernet").mkdir()
    (begun.folder / "supernet" / "done.json").write_text("{}")
    group = Processes()
    with shared(lambda: begun, group):
        return str(group.told)


def test_a_process_that_sees_older_files_waits_for_those_of_the_one_that_writes(begun, told, monkeypatch):
    done = begun.folder / "supernet" / "done.json"
    done.unlink()  # which a file system over the network may show late
    monkeypatch.setattr(open_run.time, "sleep", lambda seconds: done.write_text("{}"))
    with shared(lambda: begun, Processes(told)) as run:
        assert run.done("supernet") == {}


def test_a_process_that_still_sees_a_file_that_is_gone_waits_until_it_is_gone_here(begun, told, monkeypatch):
    result = begun.folder / "supernet" / "result.json"
    result.write_text("{}")
    monkeypatch.setattr(open_run.time, "sleep", lambda seconds: result.unlink())
    with shared(lambda: begun, Processes(told)):
        assert not result.exists()


def test_files_are_left_as_they_are_until_all_processes_have_seen_them(begun: OpenRun):
    class Counting(Processes):
        asked = 0

        def gather(self, value):
            self.asked += 1
            return super().gather(value)

    first = Counting()
    with shared(lambda: begun, first):
        assert first.asked == 2  # what to see, and that it was seen
    second = Counting(first.told)
    with shared(lambda: begun, second):
        assert second.asked == 2


def test_a_process_that_keeps_seeing_older_files_is_refused(begun, told, monkeypatch):
    (begun.folder / "config.yaml").write_text("seed: 9")
    monkeypatch.setattr(open_run, "PATIENCE", -1)
    with (
        pytest.raises(RunError, match=r"see one run folder, but .*config.yaml is not the same"),
        shared(lambda: begun, Processes(told)),
    ):
        pass
