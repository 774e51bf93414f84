"""A family of a package of one's own, with a group of options of its own, is a family like any other."""

import sys
from pathlib import Path

import pytest

from msnas.cli import main
from msnas.commands.help import stage_help
from msnas.config.compose import PLUGINS, compose
from msnas.errors import ConfigError, RunError
from msnas.setup.make_family import family_class, family_classes, own_groups
from msnas.setup.open_run import open_existing, open_new, state_of
from msnas.setup.setup import Setup

YAML = """# @package _global_
# Paths with a weight.
defaults: [msnas_7, _self_]
space_name: mine
family: my_paths.family.MyFamily
extra:
  weight: 1  # of nothing
  other: 2   # than the weight
"""
FAMILY = """
from dataclasses import dataclass
from typing import ClassVar

from msnas.families.strides.stride_family import StrideFamily


@dataclass(frozen=True, kw_only=True)
class ExtraOptions:
    weight: int
    other: int


@dataclass(frozen=True, kw_only=True)
class MyFamily(StrideFamily):
    fixed_by: ClassVar = {"extra": "search"}

    extra: ExtraOptions


class Silent(MyFamily):
    fixed_by: ClassVar = {}
"""
WEIGHTS = Path(__file__)  # any file: what is in it does not matter here


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The words of a run over the space, in a folder whose package is not trusted yet."""
    (tmp_path / "space").mkdir()
    (tmp_path / "space/mine.yaml").write_text(YAML)
    (tmp_path / "my_paths").mkdir()
    (tmp_path / "my_paths/family.py").write_text(FAMILY)
    monkeypatch.setenv(PLUGINS, "")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    yield [f"config_dir={tmp_path}", "space=mine", "input=128x128", f"runs_root={tmp_path / 'runs'}"]
    for name in [name for name in sys.modules if name.startswith("my_paths")]:
        del sys.modules[name]


@pytest.fixture
def trusted(own, monkeypatch):
    monkeypatch.setenv(PLUGINS, "my_paths")
    return own


def test_it_answers_where_the_command_line_trusts_its_package(own, capsys):
    assert main(["sample", *own, "plugins=my_paths", "budget=none", "n=1"]) == 0
    assert "macs=" in capsys.readouterr().out


def test_it_is_refused_in_one_line_where_its_package_is_not_trusted(own, capsys):
    assert main(["sample", *own, "n=1"]) == 2
    told = capsys.readouterr().err
    assert "family must lie inside" in told
    assert told.count("\n") == 1


def test_a_class_that_is_no_family_is_refused():
    with pytest.raises(ConfigError, match="subclass of Family"):
        family_class("msnas.setup.setup.Setup")


def test_the_families_of_ones_own_folder_are_known(trusted):
    config_dir = trusted[0].partition("=")[2]
    assert {family.__name__ for family in family_classes(config_dir)} - {f.__name__ for f in family_classes()} == {
        "MyFamily"
    }


def test_its_own_options_are_fixed_with_the_stage_that_reads_them(trusted):
    open_new([*trusted, "run=a"]).stage("supernet")
    open_existing([*trusted, "run=a", "extra.weight=3"], stage="search").stage("search")
    with pytest.raises(RunError, match=r"made with extra\.weight=3, but got extra\.weight=4"):
        open_existing([*trusted, "run=a", "extra.weight=4"])


def test_options_that_no_stage_is_named_for_are_fixed_from_the_first(trusted):
    assert own_groups(family_class("my_paths.family.Silent"))["supernet"] == ["encoder", "extra"]


def test_scores_depend_on_its_own_options(trusted, tmp_path):
    settings = Setup(compose([*trusted, "data.root=D", "budget=none"])).search(weights=WEIGHTS, folder=tmp_path)
    assert settings.fingerprint["extra"] == {"weight": 1, "other": 2}


def test_help_shows_its_own_options(trusted):
    shown = stage_help("search", trusted)
    assert "extra.weight=1" in shown
    assert "of nothing" in shown


def test_the_status_of_its_run_asks_for_no_trust(own, trusted, monkeypatch):
    run = open_new([*trusted, "run=a"])
    monkeypatch.setenv(PLUGINS, "")
    assert state_of(run.folder)["run"] == "a"
