"""A NAS-FCOS decoder is drawn with every link it has, and the same decoder gives the same bytes."""

import pytest

from msnas.cli import main
from msnas.drawings.curves import Rectangle, best_curve
from msnas.drawings.decoder_picture import block_links, draw_decoder, output_links
from msnas.errors import ConfigError
from supernet.nas_fcos.decoder import PUBLISHED, Decoder, Head


def test_the_published_pyramid_has_two_links_for_each_of_its_seven_blocks():
    found = [(link.source, link.target, link.op) for link in block_links(PUBLISHED.pyramid)]
    assert len(found) == 14
    assert found[6:8] == [(1, 7, "dconv3x3"), (3, 7, "skip")]  # x4 of C3 and C5


def test_the_dangling_block_is_added_to_every_output():
    found = [(link.source, link.target) for link in output_links(PUBLISHED.pyramid) if link.dangling]
    assert sorted(found) == [(6, 3), (6, 4), (6, 5)]


def test_only_p4_of_the_published_outputs_is_resized():
    found = [link.target for link in output_links(PUBLISHED.pyramid) if link.resized and not link.dangling]
    assert found == [4]


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_the_same_decoder_gives_the_same_bytes(tmp_path, ending):
    paths = [tmp_path / f"{name}.{ending}" for name in "ab"]
    for path in paths:
        draw_decoder(PUBLISHED, path, title="published")
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_the_drawing_names_every_part(tmp_path):
    draw_decoder(PUBLISHED, tmp_path / "a.svg", title="published")
    text = (tmp_path / "a.svg").read_text()
    names = ["C2", "C5", "x7", "P3", "P7", "dconv 3x3", "conv 1x1", "centerness", "every layer serves all levels"]
    assert [name for name in names if f">{name}<" not in text] == []


def test_a_head_alone_says_which_layers_are_each_levels_own(tmp_path):
    draw_decoder(Decoder(None, Head((0, 3), 1)), tmp_path / "a.svg")
    assert "layer 1 has weights of their own for each of the 5 levels" in (tmp_path / "a.svg").read_text()


def test_a_picture_of_another_kind_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"\.svg or \.png"):
        draw_decoder(PUBLISHED, tmp_path / "a.jpg")


def test_a_curve_goes_around_what_is_in_its_way():
    obstacle = Rectangle(2.0, 1.0, 0.3, 0.2)
    curve = best_curve((0.0, 1.0), (4.0, 1.0), [obstacle], top=0.0, bottom=2.0)
    assert curve.leaving[1] != 1.0 or curve.arriving[1] != 1.0
    assert (curve.start, curve.end) == ((0.0, 1.0), (4.0, 1.0))


def test_the_command_line_draws_a_published_decoder(tmp_path):
    assert main(["draw", "zoo=nas_fcos_r50_256", f"out={tmp_path / 'a.svg'}"]) == 0
    assert "nas_fcos_r50_256" in (tmp_path / "a.svg").read_text()


def test_a_baseline_has_no_decoder_to_draw(tmp_path, capsys):
    assert main(["draw", "zoo=fcos_fpn_r50", f"out={tmp_path / 'a.svg'}"]) == 2
    assert "nothing was searched" in capsys.readouterr().err
