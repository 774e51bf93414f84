"""What `msnas cost` says of blocks that no head reads."""

import json

import pytest

from msnas.cli import main

WINNER = "1,2,2,1,2,1,0.5,1,1,0.5,1,1,0.5|8,8,16,16,32"
PREFIX = ["space=msnas_timm", "space.backbone=mobilenetv3_small_050", "space.finest=4", "space.depth=5"]
UNTRAINED = ["backbone.weights=none", "backbone.train=full", "space.channels=8", "input=128x128"]


def dead_macs(capsys: pytest.CaptureFixture[str], *words: str) -> int:
    assert main(["cost", *words, "--json"]) == 0
    dead: int = json.loads(capsys.readouterr().out)["dead_macs"]
    return dead


def test_a_text_costs_its_dead_block_and_the_lateral_that_its_stage_owes(capsys: pytest.CaptureFixture[str]) -> None:
    assert dead_macs(capsys, WINNER) == 40_974_336_000 + 2_156_544_000


def test_a_text_without_dead_blocks_has_no_dead_macs(capsys: pytest.CaptureFixture[str]) -> None:
    assert dead_macs(capsys, WINNER.replace("|8,8", "|4,8")) == 0


def test_behind_a_prefix_its_lateral_is_dead_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert dead_macs(capsys, *PREFIX, *UNTRAINED, "1,0.5,2,0.5,0.5|8,8,16,16,16") == 1_245_184 + 65_536


def test_a_baseline_has_no_dead_macs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cost", "zoo=fpn_r18"]) == 0
    assert "dead_macs" not in capsys.readouterr().out
