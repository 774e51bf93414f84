"""What a user may say about the data, and one line for what he may not."""

from typing import Any

import pytest
from omegaconf import OmegaConf

from msnas.data.settings import DataSettings, SearchVal, ShapesSettings
from msnas.errors import ConfigError


def test_a_plain_mapping_becomes_settings():
    config = OmegaConf.create({"root": "D", "jitter": [0.8, 1.2], "search_val": {"fraction": 0.2}})
    settings = DataSettings.from_mapping(OmegaConf.to_container(config))
    assert settings.jitter == (0.8, 1.2)
    assert settings.search_val == SearchVal(fraction=0.2)


def test_drawn_shapes_have_settings_of_their_own():
    settings = DataSettings.from_mapping({"name": "shapes", "size": 64, "train": 5, "val": 2, "drawing_seed": 3})
    assert settings.shapes == ShapesSettings(size=64, train=5, val=2, seed=3)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({}, "data.root must name a folder"),
        ({"root": 5}, "must be a path"),
        ({"rot": "D"}, "Did you mean 'root'"),
        ({"root": "D", "size": 64}, "no key 'size'"),
        ({"root": "D", "short_side": 0}, "at least 1"),
        ({"root": "D", "short_side": "800"}, "whole number"),
        ({"root": "D", "short_side": True}, "whole number"),
        ({"root": "D", "short_side": 800, "long_side": 700}, "at least 800"),
        ({"root": "D", "flip": 1.5}, "from 0 to 1"),
        ({"root": "D", "flip": float("nan")}, "from 0 to 1"),
        ({"root": "D", "flip": "yes"}, "must be a number"),
        ({"root": "D", "jitter": 0.5}, "lowest, highest"),
        ({"root": "D", "jitter": [1.5, 0.5]}, "lowest <= highest"),
        ({"root": "D", "jitter": [0, 1]}, "from 0.1 to 10"),
        ({"root": "D", "workers": -1}, "from 0 to"),
        ({"root": "D", "memory_limit": -1}, "at least 0"),
        ({"root": "D", "val_fraction": 0.9}, "from 0 to 0.5"),
        ({"root": "D", "masks": 1}, "true or false"),
        ({"root": "D", "search_val": 0.1}, "must have fraction"),
        ({"root": "D", "search_val": {"fracton": 0.1}}, "Did you mean 'fraction'"),
        ({"root": "D", "search_val": {"fraction": 0.9}}, "from 0 to 0.5"),
        ({"root": "D", "search_val": {"minimum": 9, "maximum": 3}}, "minimum <= maximum"),
        ({"name": "shapes", "size": 8}, "from 32"),
        ({"name": "shapes", "train": 0}, "from 1"),
    ],
    ids=str,
)
def test_what_cannot_be_is_one_line(values: dict[str, Any], told: str):
    with pytest.raises(ConfigError, match=told) as refused:
        DataSettings.from_mapping(values)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("key", ["root", "train_json", "val_json", "images"])
def test_a_path_that_does_not_exist_is_a_wrong_command(tmp_path, key: str):
    from msnas.data.check.data_report import check_data

    settings = DataSettings(**{"root": str(tmp_path), key: "nothing there"})
    with pytest.raises(ConfigError, match=key):
        check_data(settings)
