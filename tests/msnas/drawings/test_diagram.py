from pathlib import Path

import numpy as np
import pytest

from msnas.cli import main
from msnas.data.size_groups import SizeGroups
from msnas.drawings.diagram import object_sizes
from msnas.drawings.palette import DASH
from msnas.drawings.stride_rows import comparable, differing_heads, differing_nodes, draw_diagrams
from msnas.errors import ConfigError
from msnas.families.family import require_matplotlib
from msnas.families.strides.stride_networks import Fpn, diagram_of
from supernet.strides.architecture import Architecture
from supernet.strides.first_stage_cost import fpn_cost
from supernet.strides.prefix_space import PrefixSpace
from supernet.strides.stride_space import StrideSpace

PAPER = Architecture.parse("1,2,0.5,2,1,2,1,2,1,0.5,1,0.5,2|8,8,16,16,32")

DEAD = Architecture.parse("1,2,2,1,2,1,0.5,1,1,0.5,1,1,0.5|8,8,16,16,32")


@pytest.fixture(scope="module")
def space() -> StrideSpace:
    return StrideSpace(block="basic", depth=13, channels=180)


def test_the_drawn_parts_add_up_to_the_published_cost(space: StrideSpace) -> None:
    assert diagram_of(PAPER, space, title="").macs == 147_194_473_920


@pytest.mark.parametrize(
    ("backbone", "macs"),
    [("resnet18", 145_311_329_280), ("resnet34", 184_570_014_720), ("resnet50", 199_700_966_400)],
)
def test_the_drawn_baseline_adds_up_to_the_published_cost(space: StrideSpace, backbone: str, macs: int) -> None:
    assert diagram_of(Fpn(backbone), space, title="").macs == macs


def test_the_drawn_baseline_has_the_stem_of_its_space() -> None:
    space = StrideSpace(block="basic", depth=7, channels=16, stem=16, input_size=(128, 192))
    expected = fpn_cost("resnet18", width=0.25, channels=32, stem=16, input_size=(128, 192)).macs
    assert diagram_of(Fpn("resnet18", 0.25, 32), space, title="").macs == expected


def test_the_drawn_parts_add_up_to_the_cost_of_random_architectures() -> None:
    space = StrideSpace(block="bottleneck", depth=9, channels=16, base_stride=2, input_size=(64, 96))
    rng = np.random.default_rng(0)
    for _ in range(20):
        genome = space.sample(rng)
        assert diagram_of(space.decode(genome), space, title="").macs == space.cost(genome).macs


def test_a_dead_block_and_the_lateral_that_its_stage_owes_are_marked(space: StrideSpace) -> None:
    diagram = diagram_of(DEAD, space, title="")
    assert [node.name for node in diagram.nodes if diagram.is_dead(node)] == ["13"]
    assert {key: macs for key, macs in diagram.dead.items() if macs} == {1: 2_156_544_000, 13: 40_974_336_000}


def test_a_dead_lateral_of_a_prefix_is_marked() -> None:
    shape = {"backbone": "mobilenetv3_small_050", "cut": 16, "depth": 5, "channels": 8, "input_size": (128, 128)}
    prefix = PrefixSpace(**shape)  # type: ignore[arg-type]
    diagram = diagram_of(prefix.parse("1,0.5,2,0.5,0.5|8,8,16,16,16"), prefix, title="")  # type: ignore[arg-type]
    assert diagram.dead["prefix laterals"] == 65_536
    assert diagram.dead_macs == 1_310_720


def test_laterals_join_the_ends_of_stages_of_one_stride(space: StrideSpace) -> None:
    diagram = diagram_of(PAPER, space, title="")
    assert [(diagram.nodes[a].name, diagram.nodes[b].name) for a, b in diagram.laterals] == [
        ("1", "3"), ("2", "5"), ("7", "11"), ("5", "12"), ("11", "13"),
    ]  # fmt: skip


def test_heads_read_the_last_block_of_their_stride(space: StrideSpace) -> None:
    diagram = diagram_of(PAPER, space, title="")
    assert [diagram.nodes[diagram.features[head.stride]].name for head in diagram.heads] == [
        "12", "12", "13", "13", "9",
    ]  # fmt: skip


def test_object_sizes_are_the_papers_at_its_image_size() -> None:
    assert object_sizes(SizeGroups.paper(800).borders) == (
        "< 56 px", f"56{DASH}112 px", f"112{DASH}224 px", f"224{DASH}448 px", "≥ 448 px",
    )  # fmt: skip


def test_object_sizes_follow_the_borders() -> None:
    assert object_sizes((10, 20, 30, 40))[2:] == (f"20{DASH}30 px", f"30{DASH}40 px", "≥ 40 px")


def test_what_differs_is_the_choice_and_not_what_follows_from_it(space: StrideSpace) -> None:
    other = Architecture.parse("1,2,0.5,2,1,2,2,1,1,0.5,1,0.5,2|8,8,8,16,32")
    first, second = (diagram_of(item, space, title="") for item in (PAPER, other))
    assert [node.name for node in differing_nodes(first, second)] == ["7", "8"]
    assert differing_heads(first, second) == ["Head 3"]


def test_a_searched_network_and_the_baseline_are_not_compared_block_by_block(space: StrideSpace) -> None:
    assert not comparable(diagram_of(Fpn(), space, title=""), diagram_of(PAPER, space, title=""))


def test_a_drawing_is_written_as_svg_with_readable_words(space: StrideSpace, tmp_path: Path) -> None:
    ours, baseline = diagram_of(PAPER, space, title="Ours"), diagram_of(Fpn(), space, title="ResNet18-FPN")
    draw_diagrams([ours, baseline], tmp_path / "both.svg")
    text = (tmp_path / "both.svg").read_text()
    for words in (">Ours<", ">ResNet18-FPN<", ">147.19 GMACs<", ">145.31 GMACs<", ">stride 64<", ">Head 5<"):
        assert words in text


def test_a_drawing_says_what_its_hatches_mean(space: StrideSpace, tmp_path: Path) -> None:
    draw_diagrams([diagram_of(DEAD, space, title="")], tmp_path / "dead.svg")
    text = (tmp_path / "dead.svg").read_text()
    assert "<pattern" in text
    assert ">dead: no head reads it<" in text
    assert ">145.85 GMACs, 43.13 of them dead<" in text


def test_a_drawing_without_dead_blocks_does_not_speak_of_them(space: StrideSpace, tmp_path: Path) -> None:
    draw_diagrams([diagram_of(PAPER, space, title="")], tmp_path / "live.svg")
    text = (tmp_path / "live.svg").read_text()
    assert "<pattern" not in text
    assert "dead" not in text


def test_the_same_architecture_gives_the_same_bytes(space: StrideSpace, tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        draw_diagrams([diagram_of(PAPER, space, title="")], tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_a_drawing_is_written_as_png(space: StrideSpace, tmp_path: Path) -> None:
    draw_diagrams([diagram_of(PAPER, space, title="")], tmp_path / "one.png")
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")


def test_another_ending_is_refused(space: StrideSpace, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ends in \.svg or \.png, but got .*one\.bmp"):
        draw_diagrams([diagram_of(PAPER, space, title="")], tmp_path / "one.bmp")


def test_a_missing_extra_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(ConfigError, match=r'pip install "msnas\[report\]"'):
        require_matplotlib()


def test_the_command_draws_a_published_network_in_its_own_space(tmp_path: Path) -> None:
    assert main(["draw", "zoo=msnas_r34_1", f"out={tmp_path / 'one.svg'}"]) == 0
    assert ">180.41 GMACs<" in (tmp_path / "one.svg").read_text()


def test_the_command_draws_the_groups_of_object_sizes_that_are_configured(tmp_path: Path) -> None:
    words = ["space=msnas_7", "data=shapes", "detector.base_scale=64", f"out={tmp_path / 'one.svg'}"]
    assert main(["draw", "1,2,1,1,1,0.5,1|4,4,8,8,8", *words]) == 0
    assert ">≥ 128 px<" in (tmp_path / "one.svg").read_text()
