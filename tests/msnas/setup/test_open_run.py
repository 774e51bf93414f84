"""A run and the data that its first stage has read."""

import json

import pytest
import yaml
from coco_folders import CocoFolder

from msnas.config.retrain_recipe import OWN
from msnas.data.opening import Splits
from msnas.errors import RunError
from msnas.setup.open_run import OpenRun, open_existing, open_new, stored_setup


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
