"""Published networks: the exact integers of their costs, and how they are asked for."""

import re

import pytest

from msnas.errors import ConfigError
from msnas.families.strides.zoo_msnas import ENTRIES, SPACES, PublishedPath
from msnas.setup.zoo import published
from supernet.strides.stride_space import StrideSpace

MACS = {
    "msnas_r18_1": 145_846_633_920,
    "msnas_r18_2": 147_531_433_920,
    "msnas_r18_3": 145_989_841_920,
    "msnas_r18_4": 147_261_865_920,
    "msnas_r18_5": 147_194_473_920,
    "msnas_r34_1": 180_408_017_920,
    "msnas_r34_2": 178_495_873_920,
    "msnas_r34_3": 178_982_593_920,
    "msnas_r34_4": 181_772_497_920,
    "msnas_r34_5": 180_621_009_920,
    "fpn_r18": 145_311_329_280,
    "fpn_r34": 184_570_014_720,
    "fpn_r50": 199_700_966_400,
}
PATHS = [entry for entry in ENTRIES if isinstance(entry, PublishedPath)]


@pytest.mark.parametrize("name", MACS)
def test_costs_are_the_published_integers(name):
    assert published(name).cost_row()["macs"] == MACS[name]


def test_the_first_r18_winner_alone_pays_for_dead_blocks():
    dead = {entry.name: entry.cost_row()["dead_macs"] for entry in PATHS}
    assert {name: macs for name, macs in dead.items() if macs} == {"msnas_r18_1": 43_130_880_000}


@pytest.mark.parametrize("rank", range(1, 6))
def test_r50_winners_lie_half_to_one_and_a_half_percent_above_their_target(rank):
    assert 1.005 < published(f"msnas_r50_{rank}").cost_row()["macs"] / 197.33e9 < 1.014


@pytest.mark.parametrize("entry", PATHS, ids=lambda entry: entry.name)
def test_published_paths_are_valid_in_their_space(entry):
    space = StrideSpace(**SPACES[entry.space])
    assert space.is_valid(space.encode(entry.architecture))


@pytest.mark.parametrize("name", [entry.name for entry in ENTRIES])
def test_rows_of_two_stage_networks_have_every_field_in_whole_numbers(name):
    row = published(name).cost_row((576, 1024))
    assert row["name"] == name
    assert 30 < row["published_map"] < 45
    assert all(type(row[key]) is int and row[key] > 0 for key in ("macs", "params", "box_head_macs"))


def test_the_published_scores_have_the_means_of_table_1():
    scores = {space: [entry.map for entry in PATHS if entry.space == space] for space in SPACES}
    means = {space: round(sum(values) / len(values), 2) for space, values in scores.items()}
    assert means == {"r18": 36.94, "r34": 38.86, "r50": 39.3}


def test_the_box_head_costs_its_convolutions_and_full_layers():
    convolutions = 49 * 9 * (180 + 256) * 256
    assert published("msnas_r18_1").cost_row()["box_head_macs"] == 1000 * (
        convolutions + 49 * 256 * 1024 + 1024 * 5 * 81
    )


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(ConfigError, match=re.escape("Did you mean fpn_r18")):
        published("fpn_r18_1x")


def test_a_name_like_none_lists_all():
    with pytest.raises(ConfigError, match=r"There are: msnas_r18_1, .*fpn_r50"):
        published("?")
