"""The NAS-FPN entries of the zoo cost what was published."""

import pytest

from msnas.setup.zoo import published
from supernet.errors import SpaceError


@pytest.mark.parametrize(
    ("stacks", "macs", "params"),
    [
        (1, 98_767_635_200, 35_273_879),
        (3, 112_599_008_000, 43_542_167),
        (5, 126_430_380_800, 51_810_455),
        (7, 140_261_753_600, 60_078_743),
    ],
)
def test_stacks_at_256_cost_these_integers_at_640(stacks, macs, params):
    row = published(f"nas_fpn_r50_{stacks}at256").cost_row((640, 640))
    assert (row["macs"], row["params"]) == (macs, params)


@pytest.mark.parametrize(
    ("name", "side", "gmacs", "tolerance"),
    [
        ("nas_fpn_r50_7at256", 640, 140.6, 0.0035),
        ("nas_fpn_r50_7at256", 1024, 360, 0.0035),
        ("nas_fpn_r50_7at256", 1280, 562.75, 0.0035),
        ("nas_fpn_r50_7at384", 1280, 1043, 0.0035),
        ("nas_fpn_mv2_3at256", 640, 80, 0.0035),
        ("retinanet_fpn_r50", 640, 97.0, 0.003),
        ("retinanet_fpn_r101", 640, 127, 0.003),
        ("retinanet_fpn_r101", 1024, 326.3, 0.003),
        ("retinanet_fpn_r152", 1280, 630.5, 0.003),
    ],
)
def test_macs_are_the_published_ones(name, side, gmacs, tolerance):
    row = published(name).cost_row((side, side))
    assert row["macs"] / 1e9 == pytest.approx(gmacs, rel=tolerance)


@pytest.mark.parametrize(
    "name",
    [
        "nas_fpn_r50_7at256",
        "nas_fpn_r50_7at384",
        "retinanet_fpn_r50",
        "retinanet_fpn_r101",
        "retinanet_fpn_r152",
    ],
)
def test_params_are_the_published_ones(name):
    row = published(name).cost_row()
    assert row["params"] / 1e6 == pytest.approx(row["published_million_params"], rel=0.005)


def test_a_size_that_is_padded_is_named():
    with pytest.raises(SpaceError, match="padded to 896x1408"):
        published("nas_fpn_r50_7at256").cost_row((800, 1333))
