"""A NAS-FPN pyramid is drawn with every link it has, and the same pyramid gives the same bytes."""

import pytest

from msnas.cli import main
from msnas.drawings.cell_picture import TitledPlan, draw_plans, graph_of, links
from msnas.errors import ConfigError
from supernet.nas_fpn.fpn_levels import FpnLevels
from supernet.nas_fpn.pyramid_plan import DISCOVERED


def test_the_discovered_cells_have_fourteen_inputs_and_two_leftovers():
    found = links(DISCOVERED)
    assert sum(not link.leftover for link in found) == 14
    assert [(link.source, link.target) for link in found if link.leftover] == [(2, 9), (4, 10)]


def test_a_link_says_how_its_source_is_resampled():
    changes = {(link.source, link.target): link.change for link in links(DISCOVERED)}
    assert (changes[3, 5], changes[6, 10], changes[1, 5]) == (-2, 3, 0)  # C6 to level 4, level 4 to 7, level 4


def test_each_gp_cell_attends_to_one_input():
    assert [(link.source, link.target) for link in links(DISCOVERED) if link.attends] == [
        (3, 5),
        (8, 9),
        (9, 10),
        (10, 11),
    ]


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_the_same_pyramid_gives_the_same_bytes(tmp_path, ending):
    paths = [tmp_path / f"{name}.{ending}" for name in "ab"]
    for path in paths:
        draw_plans([TitledPlan(DISCOVERED, "seven cells")], path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_picture_of_another_kind_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"\.svg or \.png"):
        draw_plans([TitledPlan(DISCOVERED)], tmp_path / "a.jpg")


def test_texts_and_zoo_names_are_drawn_one_above_the_other(tmp_path):
    alone, both = tmp_path / "alone.svg", tmp_path / "both.svg"
    assert main(["draw", "nas_fpn_mv2_3at256", f"out={alone}"]) == 0
    assert main(["draw", str(DISCOVERED), "nas_fpn_mv2_3at256", f"out={both}"]) == 0
    assert [path.read_text().count(">GP</text>") for path in (alone, both)] == [4, 8]
    assert "mobilenetv2_100, 3 such pyramids of 256 channels" in both.read_text()


def test_the_fpn_makes_its_levels_from_the_coarse_to_the_fine_then_the_coarsest():
    """Lateral and the coarser level; P6 and P7 from the level below (Fig. 7a)."""
    found = [(link.source, link.target, link.change) for link in graph_of(FpnLevels()).links]
    assert found == [(2, 5, 0), (1, 6, 0), (5, 6, -1), (0, 7, 0), (6, 7, -1), (5, 8, 1), (8, 9, 1)]


def test_the_fpn_is_drawn_beside_cells(tmp_path):
    out = tmp_path / "both.svg"
    assert main(["draw", "retinanet_fpn_r50", "nas_fpn_r50_7at256", f"out={out}"]) == 0
    drawn = out.read_text()
    assert (drawn.count(">C5</text>"), drawn.count(">C7</text>"), drawn.count(">P7</text>")) == (2, 1, 2)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["fcos_fpn_r50"], "nothing was searched"),
        (["nas_fpn_mv2_3at256", "msnas_r18_1"], "draw these apart"),
        ([str(DISCOVERED).replace("3,4,gp", "9,4,gp")], "Cell 1 can read candidates 0..4"),
    ],
)
def test_what_cannot_be_drawn_is_told(words, told, tmp_path, capsys):
    assert main(["draw", *words, f"out={tmp_path / 'a.svg'}"]) == 2
    assert told in capsys.readouterr().err
